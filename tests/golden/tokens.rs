//! Token ids against transformers' (`tools/golden/nasty.py`).
#![allow(clippy::unwrap_used)]

use crate::common::golden;
use protostill::{
    data::caption::normalise,
    fingerprint::Fingerprint,
    models::{tokenizer::Tokenizer, weights::Checkpoint},
};
use serde_json::Value;
use std::path::Path;

/// The strings that `nasty` of the script draws: Knuth's MMIX generator, its high bits.
fn nasty(pools: &[Vec<Value>], count: usize) -> Vec<String> {
    let mut state = 1u64;
    let mut draw = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut texts = Vec::new();
    for i in 0..count {
        let pool = &pools[i % pools.len()];
        let mut pieces = 1 + draw(40);
        if i % 50 == 49 {
            pieces *= 1 + draw(60);
        }
        let mut text = String::new();
        for _ in 0..pieces {
            match &pool[draw(pool.len() as u64) as usize] {
                Value::String(piece) => text.push_str(piece),
                ends => {
                    let [from, to] = [0, 1].map(|i| ends[i].as_u64().unwrap());
                    text.push(char::from_u32((from + draw(to - from + 1)) as u32).unwrap());
                }
            }
        }
        texts.push(text);
    }
    texts
}

fn hash(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Fingerprint::of_bytes(&bytes).as_str()[..8].to_owned()
}

/// The tokenizer in `folder`, also from the two files that older checkpoints have instead.
fn both(folder: &Path) -> [(tempfile::TempDir, Tokenizer); 2] {
    [true, false].map(|whole| {
        let dir = tempfile::tempdir().unwrap();
        for file in ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"] {
            if whole || file != "tokenizer.json" {
                std::fs::copy(folder.join(file), dir.path().join(file)).unwrap();
            }
        }
        let tokenizer = Tokenizer::load(&Checkpoint::Folder(dir.path().into()).root()).unwrap();
        (dir, tokenizer)
    })
}

#[test]
fn two_thousand_nasty_strings_have_the_ids_of_transformers() {
    let file: Value = serde_json::from_slice(&std::fs::read(golden("nasty.json")).unwrap()).unwrap();
    let pools: Vec<Vec<Value>> = serde_json::from_value(file["pools"].clone()).unwrap();
    let wanted = file["ids"].as_str().unwrap();
    let texts = nasty(&pools, wanted.len() / 8);
    assert_eq!(texts.len(), 2000);
    assert!(texts.iter().any(|t| t.chars().count() > 5000), "none of them is very long");
    for (_dir, tokenizer) in both(&golden("clip")) {
        let wrong = |i: &usize| hash(&tokenizer.ids(&texts[*i]).unwrap()) != wanted[8 * i..8 * i + 8];
        let wrong: Vec<usize> = (0..texts.len()).filter(wrong).collect();
        assert!(wrong.is_empty(), "{} differ, the first {:?}", wrong.len(), texts[wrong[0]]);
    }
}

/// With CLIP's own vocabulary and as many captions as one has: see the script.
#[test]
#[allow(clippy::print_stdout)]
#[ignore = "needs the file that tools/golden/nasty.py writes, named by PROTOSTILL_TOKENS"]
fn every_caption_has_the_ids_of_transformers_with_the_whole_vocabulary() {
    let file = std::env::var("PROTOSTILL_TOKENS").expect("PROTOSTILL_TOKENS names no file");
    let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(file["texts"].clone()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(file["ids"].clone()).unwrap();
    let captions = file["captions"].as_u64().unwrap() as usize;
    let wrong = |t: &Tokenizer| (0..texts.len()).filter(|&i| t.ids(&texts[i]).unwrap() != ids[i]).collect::<Vec<_>>();
    let wrong = both(Path::new(file["folder"].as_str().unwrap())).map(|(_dir, tokenizer)| wrong(&tokenizer)).concat();
    let raw = texts.len() - 2 * captions;
    let odd = (0..captions).filter(|i| normalise(&texts[raw + i], 30) != texts[raw + captions + i]).count();
    println!(
        "{} strings, of them {captions} captions twice: {} differ; {odd} normalised otherwise",
        texts.len(),
        wrong.len()
    );
    assert!(wrong.is_empty() && odd == 0, "{:?}", wrong.first().map(|&i| &texts[i]));
}
