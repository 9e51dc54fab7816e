//! Numbers at random, of a generator that is seeded anew in every invocation from its entropy.
//!
//! For keys and tokens take [`random`](crate::random): this is a fast generator (xoshiro256++), not a cryptographic one.

use std::cell::{Cell, RefCell};

use crate::context::Context;

thread_local! {
    static STATE: Cell<[u64; 4]> = const_state();
    static HOOKS: RefCell<Vec<fn(&[u8; 16])>> = RefCell::new(Vec::new());
    // The context's bytes, until the first draw: who never draws does not pay for finding the entropy in them.
    static PENDING: RefCell<Vec<u8>> = RefCell::new(Vec::new());
}

const fn const_state() -> Cell<[u64; 4]> {
    Cell::new([0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0x2545_f491_4f6c_dd1d])
}

/// Names what is called with fresh entropy in every invocation, before the handler: for generators of your own. Call it in
/// initialisation.
pub fn on_reseed(hook: fn(&[u8; 16])) {
    HOOKS.with(|hooks| hooks.borrow_mut().push(hook));
}

pub(crate) fn begin(context: &[u8]) {
    PENDING.with(|pending| *pending.borrow_mut() = context.into());
    HOOKS.with(|hooks| {
        let hooks = hooks.borrow();
        if !hooks.is_empty() {
            let entropy = Context::of(context).entropy();
            hooks.iter().for_each(|hook| hook(&entropy));
        }
    });
}

fn seeded() -> [u64; 4] {
    let context = PENDING.with(|pending| std::mem::take(&mut *pending.borrow_mut()));
    if !context.is_empty() {
        let entropy = u128::from_le_bytes(Context::of(&context).entropy());
        let (mut low, mut high) = (entropy as u64, (entropy >> 64) as u64);
        STATE.with(|state| state.set([mixed(&mut low), mixed(&mut high), mixed(&mut low), mixed(&mut high) | 1]));
    }
    STATE.with(Cell::get)
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
    let mut s = seeded();
    let drawn = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
    let t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(45);
    STATE.with(|state| state.set(s));
    drawn
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
