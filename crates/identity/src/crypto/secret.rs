/// A key of at most 32 bytes, overwritten when it is dropped.
pub(super) struct Secret {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Secret {
    pub(super) const MAX: usize = 32;

    /// Of a longer key only the first 32 bytes.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { bytes, len: key.len().min(Self::MAX) as u8 }
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.fill(0);
        std::hint::black_box(&self.bytes);
    }
}
