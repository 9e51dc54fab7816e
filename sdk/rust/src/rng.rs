//! Numbers at random, seeded anew in every invocation from its entropy, before the handler runs.
//!
//! For keys and tokens take [`random`](crate::random): this is a fast generator (xoshiro256++), not a cryptographic one.

use std::cell::{Cell, RefCell};

thread_local! {
    static STATE: Cell<[u64; 4]> = const_state();
    static HOOKS: RefCell<Vec<fn(&[u8; 16])>> = RefCell::new(Vec::new());
}

const fn const_state() -> Cell<[u64; 4]> {
    Cell::new([0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0x2545_f491_4f6c_dd1d])
}

/// Names what is called with fresh entropy in every invocation, before the handler: for generators of your own. Call it in
/// initialisation.
pub fn on_reseed(hook: fn(&[u8; 16])) {
    HOOKS.with(|hooks| hooks.borrow_mut().push(hook));
}

pub(crate) fn reseed(entropy: &[u8; 16]) {
    let mut seed = [0; 8];
    seed.copy_from_slice(&entropy[..8]);
    let mut low = u64::from_le_bytes(seed);
    seed.copy_from_slice(&entropy[8..]);
    let mut high = u64::from_le_bytes(seed);
    STATE.with(|state| state.set([mixed(&mut low), mixed(&mut high), mixed(&mut low), mixed(&mut high) | 1]));
    HOOKS.with(|hooks| hooks.borrow().iter().for_each(|hook| hook(entropy)));
}

/// SplitMix64: what the authors of xoshiro seed it with.
fn mixed(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Any 64 bits.
pub fn u64() -> u64 {
    STATE.with(|cell| {
        let mut s = cell.get();
        let drawn = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        cell.set(s);
        drawn
    })
}

/// A number from 0 to `end`, which is not among them and must not be 0. Each is as likely as the others.
pub fn below(end: u64) -> u64 {
    assert!(end > 0, "there is no number below 0");
    let most = u64::MAX - u64::MAX % end; // what is beyond would favour small ones
    loop {
        let drawn = u64();
        if drawn < most {
            return drawn % end;
        }
    }
}

/// A number from 0 to 1, which is not among them.
pub fn f64() -> f64 {
    (u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Brings `items` into any order.
pub fn shuffle<T>(items: &mut [T]) {
    for end in (1..items.len()).rev() {
        items.swap(end, below(end as u64 + 1) as usize);
    }
}
