//! wordcount: the words of a text, and the most frequent ones of them.

use std::collections::HashMap;

use isolet::{bail, record, Context, Result, Value};

const TOP: i64 = 10;
const TOP_MAX: i64 = 1000;

record! {
    struct Counted {
        word: String,
        count: usize,
    }
}

record! {
    struct Summary {
        words: usize,
        distinct: usize,
        top: Vec<Counted>,
    }
}

fn handle(event: Value, _context: &Context) -> Result<Summary> {
    let text = match event["text"].as_str() {
        Some(text) => text,
        None => bail!("InvalidEvent", "`text` must be a string"),
    };
    let top = match &event["top"] {
        Value::Nil => TOP,
        Value::Int(top) if (1..=TOP_MAX).contains(top) => *top,
        _ => bail!("InvalidEvent", "`top` must be an integer from 1 to {TOP_MAX}"),
    };
    let small = text.to_ascii_lowercase();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in small.split(parts).filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    let (words, distinct) = (counts.values().sum(), counts.len());
    let mut ordered: Vec<(&str, usize)> = counts.into_iter().collect();
    ordered.sort_unstable_by(|(a, many), (b, others)| others.cmp(many).then(a.cmp(b)));
    ordered.truncate(top as usize);
    let top = ordered.into_iter().map(|(word, count)| Counted { word: word.into(), count });
    Ok(Summary { words, distinct, top: top.collect() })
}

/// What is between words: all of ASCII but letters and digits.
fn parts(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric()
}

isolet::handler!(handle);
