use std::collections::VecDeque;

/// A queue that mostly has one element, which then costs no allocation.
#[derive(Clone, Debug)]
pub struct ShortQueue<T> {
    /// The oldest. `None`: there is none at all.
    first: Option<T>,
    #[allow(clippy::box_collection, reason = "most have none, and all are moved, inside of messages too")]
    rest: Option<Box<VecDeque<T>>>,
}
/// Room that is kept, so that a few that come and go cost nothing either: 64 KiB in parts of 16, with some of the next.
const KEPT: usize = 8;

impl<T: PartialEq> PartialEq for ShortQueue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
impl<T: Eq> Eq for ShortQueue<T> {}
impl<T> Default for ShortQueue<T> {
    fn default() -> Self {
        Self { first: None, rest: None }
    }
}
impl<T> ShortQueue<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }
    /// The oldest.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }
    /// Appends.
    pub fn push_back(&mut self, element: T) {
        match self.first {
            None => self.first = Some(element),
            Some(_) => self.rest.get_or_insert_default().push_back(element),
        }
    }
    /// Puts one before the oldest.
    pub fn push_front(&mut self, element: T) {
        if let Some(second) = self.first.replace(element) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }
    /// Takes the oldest.
    pub fn pop_front(&mut self) -> Option<T> {
        let taken = self.first.take();
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
            if rest.is_empty() && rest.capacity() > KEPT {
                self.rest = None; // A burst leaves nothing behind.
            }
        }
        taken
    }
    /// Takes the oldest if it is such a one.
    pub fn pop_front_if(&mut self, is: impl FnOnce(&T) -> bool) -> Option<T> {
        if is(self.first.as_ref()?) { self.pop_front() } else { None }
    }
    /// From the oldest to the newest.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }
    /// Gives back room that is not used.
    pub fn shrink(&mut self) {
        match &mut self.rest {
            Some(rest) if !rest.is_empty() => rest.shrink_to_fit(),
            rest => *rest = None,
        }
    }
    /// Drops all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<T> FromIterator<T> for ShortQueue<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        let mut queue = Self { first: elements.next(), rest: None };
        elements.for_each(|element| queue.push_back(element));
        queue
    }
}
impl<T> IntoIterator for ShortQueue<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::collections::vec_deque::IntoIter<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest.map_or_else(VecDeque::new, |rest| *rest))
    }
}

/// For `shrink_to`, each time a list has been emptied: what it needed stays, so that steady work never allocates; of what a
/// burst left, half goes at a time. Less than `least` is not worth giving back.
pub fn room_kept(capacity: usize, needed: usize, least: usize) -> usize {
    if needed < capacity / 4 { (capacity / 2).max(least) } else { capacity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_is_needed() {
        let mut list: Vec<u8> = Vec::with_capacity(1024);
        for _ in 0..100 {
            list.shrink_to(room_kept(list.capacity(), 200, 8));
        }
        assert_eq!(list.capacity(), 512, "twice to four times what is needed");
        for _ in 0..100 {
            list.shrink_to(room_kept(list.capacity(), 1, 8));
        }
        assert_eq!(list.capacity(), 8);
        assert_eq!(room_kept(0, 0, 8), 0);
    }

    #[test]
    fn first_in_first_out() {
        let mut queue = ShortQueue::default();
        assert!(queue.is_empty());
        (1..=4).for_each(|n| queue.push_back(n));
        assert_eq!((queue.len(), queue.pop_front()), (4, Some(1)));
        assert_eq!(queue.pop_front_if(|n| *n == 9), None);
        assert_eq!(queue.pop_front_if(|n| *n == 2), Some(2));
        queue.push_back(5);
        assert!(queue.iter().eq(&[3, 4, 5]));
        assert_eq!((queue.pop_front(), queue.pop_front(), queue.pop_front()), (Some(3), Some(4), Some(5)));
        assert_eq!((queue.pop_front(), queue.len()), (None, 0));
        assert_eq!(queue, ShortQueue::default(), "whatever room was kept");
        queue.push_front(6);
        queue.push_front(5);
        assert_eq!(queue.pop_front(), Some(5));
        assert_eq!(queue.front(), Some(&6));
        (0..100).for_each(|n| queue.push_back(n));
        while queue.pop_front().is_some() {}
        assert!(queue.rest.is_none());
    }
}
