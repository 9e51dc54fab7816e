use std::cell::UnsafeCell;
use std::sync::Once;

/// What initialisation makes once and every invocation reads.
///
/// ```
/// static TABLE: isolet::Global<Vec<u32>> = isolet::Global::new();
///
/// fn prepare() {
///     TABLE.set((0..1000).map(|n| n * n).collect());
/// }
/// # prepare();
/// # assert_eq!(TABLE.get()[3], 9);
/// ```
///
/// (What an invocation itself changes goes into a `thread_local!` with a `Cell`; it is gone when the invocation ends.)
pub struct Global<T> {
    once: Once,
    value: UnsafeCell<Option<T>>,
}

// The value is written once, before anyone reads it.
unsafe impl<T: Send + Sync> Sync for Global<T> {}

impl<T> Global<T> {
    /// Without a value yet.
    pub const fn new() -> Global<T> {
        Global { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// Gives it its value. Panics if it has one.
    pub fn set(&self, value: T) {
        let mut value = Some(value);
        self.once.call_once(|| unsafe { *self.value.get() = value.take() });
        assert!(value.is_none(), "isolet::Global is set once, and it has its value");
    }

    /// The value. Panics if it was not set: initialisation must, `isolet::handler!(handle, init = prepare)`.
    pub fn get(&self) -> &T {
        assert!(self.once.is_completed(), "isolet::Global has no value: set it in the function that `init = …` names");
        match unsafe { &*self.value.get() } {
            Some(value) => value,
            None => unreachable!(),
        }
    }
}

impl<T> Default for Global<T> {
    fn default() -> Global<T> {
        Global::new()
    }
}
