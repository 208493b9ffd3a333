use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq, bitcode::Encode, bitcode::Decode)]
struct Line {
    key: u64,
    text: Option<Arc<str>>,
}

impl Row for Line {
    type Key = u64;
    fn key(&self) -> u64 {
        self.key
    }
}

/// Rows of several shards, dealt out by place, merged.
fn table(lines: &[Line], shards: usize, in_memory: usize) -> Arc<Sorted<Line>> {
    let mut dealt: Vec<Rows<Line>> = (0..shards).map(|_| Rows::new(in_memory)).collect();
    for (at, line) in lines.iter().enumerate() {
        dealt[at % shards].push(line.clone());
    }
    let merged = dealt.into_iter().reduce(|mut all, shard| {
        all.merge(shard);
        all
    });
    merged.expect("a shard").sorted().expect("a disk")
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let texts = proptest::collection::btree_map(0_u64..10_000, proptest::option::of("[a-zé]{0,9}"), 0..400);
    let lines = texts.prop_map(|texts| {
        let line = |(key, text): (u64, Option<String>)| Line { key, text: text.map(Into::into) };
        texts.into_iter().map(line).collect::<Vec<_>>()
    });
    lines.prop_shuffle()
}

proptest! {
    /// Whatever the shards and the runs, what is read is what was given, in order, every time; and each is found.
    #[test]
    fn runs_are_as_if_all_had_stayed_in_memory(lines in lines(), shards in 1_usize..6, in_memory in 0_usize..200) {
        let spilt = table(&lines, shards, in_memory);
        let mut expected = lines;
        expected.sort_by_key(Row::key);
        prop_assert_eq!(spilt.len(), expected.len());
        prop_assert_eq!(spilt.to_vec().expect("a disk"), expected.clone());
        prop_assert_eq!(spilt.to_vec().expect("a disk"), expected.clone());
        for key in 0..100 {
            let wanted = expected.iter().find(|line| line.key == key).cloned();
            prop_assert_eq!(spilt.find(key).expect("a disk"), wanted);
        }
    }
}

#[test]
fn few_rows_never_touch_the_disk() {
    let lines: Vec<Line> = (0..100).map(|key| Line { key, text: None }).collect();
    assert!(table(&lines, 2, 50).runs.is_empty());
    assert_eq!(table(&lines, 2, 49).runs.len(), 2);
}

#[test]
fn two_readers_at_once_do_not_disturb_each_other() {
    let lines: Vec<Line> = (0..1000).rev().map(|key| Line { key, text: None }).collect();
    let table = table(&lines, 3, 10);
    let pairs = table.read().zip(table.read()).map(|(a, b)| (a.expect("a disk").key, b.expect("a disk").key));
    assert!(pairs.eq((0..1000).map(|key| (key, key))));
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_end() {
    let failure = io::Error::from(io::ErrorKind::StorageFull);
    let full = Rows::<Line> { failure: Some(failure), ..Rows::new(1) };
    let mut all = Rows::new(1);
    all.merge(full);
    (0..3).for_each(|key| all.push(Line { key, text: None }));
    assert_eq!(all.sorted().err().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
}
