package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Before the timed part, so that it meets code and buffers in use.
const warmUp = 100 * time.Millisecond

// Keeps every thread of this process, and those they start, on one core.
func pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	return nil
}

// Processor time of all threads of a process, as the scheduler counts it.
func cpu(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		nanos, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		sum += time.Duration(nanos)
	}
	return sum
}

// Resident memory of a process, in KiB.
func residentKib(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib
		}
	}
	return 0
}

type stopwatch struct {
	server       int
	began        time.Time
	ours, theirs time.Duration
}

func watch(server int) stopwatch {
	w := stopwatch{server: server, ours: cpu(os.Getpid())}
	if server != 0 {
		w.theirs = cpu(server)
	}
	w.began = time.Now()
	return w
}

type report struct {
	ops   float64
	value *float64
	extra map[string]float64
}

func (w stopwatch) print(r report) {
	seconds := time.Since(w.began).Seconds()
	value := r.ops / seconds
	if r.value != nil {
		value = *r.value
	}
	var theirs any
	if w.server != 0 {
		theirs = (cpu(w.server) - w.theirs).Seconds()
	}
	if r.extra == nil {
		r.extra = map[string]float64{}
	}
	fmt.Println(string(must(json.Marshal(map[string]any{
		"ops": r.ops, "seconds": seconds, "value": value, "extra": r.extra,
		"client_cpu_s": (cpu(os.Getpid()) - w.ours).Seconds(), "server_cpu_s": theirs,
	}))))
}

// Percentiles of one operation's time, in microseconds.
func withTimes(times []time.Duration) report {
	return report{ops: float64(len(times)), extra: map[string]float64{
		"p50_us": percentile(times, 50), "p99_us": percentile(times, 99),
	}}
}

func percentile(times []time.Duration, percent int) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[(len(times)-1)*percent/100].Nanoseconds()) / 1000
}

// Runs work so many times at once and collects what each has measured.
func atOnce(count int, work func(n int) ([]time.Duration, error)) []time.Duration {
	type result struct {
		times []time.Duration
		err   error
	}
	results := make(chan result)
	for n := range count {
		go func() {
			times, err := work(n)
			results <- result{times, err}
		}()
	}
	var all []time.Duration
	for range count {
		one := <-results
		check(one.err)
		all = append(all, one.times...)
	}
	return all
}
