#![allow(clippy::unwrap_used)]
use super::*;
use crate::data::{
    Dataset, ImageSource,
    files::{npy::tests::singles, parquet::tests::sample},
    open,
};
use ndarray::Array2;
use std::{fs, io::Write};

/// Rows `[n, n + 0.5]` for each n.
fn rows(numbers: &[f32]) -> Vec<u8> {
    singles(numbers.len(), 2, &numbers.iter().flat_map(|n| [*n, n + 0.5]).collect::<Vec<_>>())
}

fn put(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn firsts(table: Result<Array2<f32>>) -> Vec<f32> {
    table.unwrap().column(0).to_vec()
}

fn features(set: &Dataset) -> (Vec<f32>, Vec<f32>) {
    let ready = set.train.ready.as_ref().unwrap();
    (firsts(ready.images().unwrap().read()), firsts(ready.texts().read()))
}

fn image_of(set: &Dataset) -> Vec<u32> {
    set.train.pairs.iter().map(|p| p.image.0).collect()
}

#[test]
fn names_say_what_a_file_holds() {
    let cases = [
        ("image", Some(Side::Image)),
        ("train_text_0", Some(Side::Text)),
        ("flickr_clip_train_image_embed", Some(Side::Image)),
        ("flickr_bert_text_embed", Some(Side::Text)),
        ("image_ids", None),
        ("bert_test_embed", None),
        ("text_lengths", None),
    ];
    for (name, side) in cases {
        assert_eq!(side_of(name), side, "{name}");
    }
    let mut names = ["e_10.npy", "e_2.npy", "e_1.npy"];
    names.sort_by_key(|n| in_order(n));
    assert_eq!(names, ["e_1.npy", "e_2.npy", "e_10.npy"]);
}

#[test]
fn clip_retrievals_folders_are_joined_row_by_row_and_images_used_where_found() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for (n, numbers) in [[0.0, 1.0], [2.0, 3.0]].iter().enumerate() {
        put(at, &format!("img_emb/img_emb_{n}.npy"), rows(numbers));
        put(at, &format!("text_emb/text_emb_{n}.npy"), rows(&numbers.map(|v| v + 10.0)));
    }
    fs::create_dir(at.join("metadata")).unwrap();
    sample(&at.join("metadata/metadata_0.parquet"), &[("A dog.", Some("/content/pics/1.png")), ("...", None)]);
    sample(
        &at.join("metadata/metadata_1.parquet"),
        &[("cat", Some("/content/pics/1.png")), ("cow", Some("../../2.png"))],
    );
    let set = open(at).unwrap();
    let captions: Vec<&str> = set.train.pairs.iter().map(|p| p.caption.as_str()).collect();
    assert_eq!((captions, image_of(&set)), (vec!["A dog.", "cat", "cow"], vec![0, 0, 1]));
    assert_eq!(features(&set), (vec![0.0, 3.0], vec![10.0, 12.0, 13.0]));
    let text = set.train.images[0].decode().unwrap_err().to_string();
    assert!(text.starts_with("/content/pics/1.png: there are only features of this image"), "{text}");
    fs::create_dir(at.join("pics")).unwrap();
    image::RgbImage::new(4, 2).save(at.join("pics/1.png")).unwrap();
    let found = open(at).unwrap();
    assert_eq!(found.train.images[0], ImageSource::File(at.join("pics/1.png")));
    assert_eq!(found.train.images[1], ImageSource::Absent("../../2.png".into()));
    assert_ne!(found.fingerprint, set.fingerprint);
}

#[test]
fn rows_that_do_not_agree_are_counted_in_the_message() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    put(at, "img_emb/0.npy", rows(&[0.0, 1.0]));
    put(at, "text_emb/0.npy", rows(&[0.0, 1.0, 2.0]));
    fs::create_dir(at.join("metadata")).unwrap();
    sample(&at.join("metadata/0.parquet"), &[("a", None), ("b", None)]);
    let text = open(at).unwrap_err().to_string();
    assert!(text.contains("2 rows, where img_emb has 2 and text_emb 3"), "{text}");
}

/// Two images with three captions, the second one of the first image without a word.
const LIST: &str = r#"[{"image":"a.png","caption":"One."},{"image":"a.png","caption":"!"},{"image":"b.png","caption":"Two"},
    {"image":"a.png","caption":"three"}]"#;

#[test]
fn features_beside_a_list_may_have_a_row_per_caption_or_per_image() {
    for (images, expected) in [(vec![5.0, 5.0, 6.0, 5.0], [5.0, 6.0]), (vec![5.0, 6.0], [5.0, 6.0])] {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "k_train.json", LIST);
        put(dir.path(), "k_clip_train_image_embed.npy", rows(&images));
        put(dir.path(), "k_clip_train_text_embed.npy", rows(&[0.0, 1.0, 2.0, 3.0]));
        let set = open(dir.path()).unwrap();
        assert_eq!(image_of(&set), [0, 1, 0]);
        assert_eq!(features(&set), (expected.to_vec(), vec![0.0, 2.0, 3.0]));
    }
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "k_train.json", LIST);
    put(dir.path(), "image.npy", rows(&[5.0, 6.0, 7.0]));
    put(dir.path(), "text.npy", rows(&[0.0, 1.0, 2.0, 3.0]));
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("image.npy: 3 rows, where the lists have 4 captions of 2 images"), "{text}");
}

#[test]
fn an_archive_of_the_reference_is_the_test_splits_unless_it_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let archive = |name: &str, array: &str, numbers: &[f32]| {
        let mut to = zip::ZipWriter::new(fs::File::create(dir.path().join(name)).unwrap());
        to.start_file(format!("{array}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        to.write_all(&rows(numbers)).unwrap();
        to.finish().unwrap();
    };
    put(dir.path(), "k_train.json", LIST);
    put(dir.path(), "k_test.json", r#"[{"image":"c.png","caption":["x","y"]}]"#);
    image::RgbImage::new(4, 2).save(dir.path().join("c.png")).unwrap();
    archive("k_clip_train_image_embed.npz", "image_embed", &[5.0, 6.0]);
    archive("k_clip_train_text_embed.npz", "bert_test_embed", &[0.0, 1.0, 2.0, 3.0]);
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("ready features of the train split but none of the test split"), "{text}");
    archive("k_clip_text_embed.npz", "bert_test_embed", &[8.0, 9.0]);
    let set = open(dir.path()).unwrap();
    assert_eq!(features(&set), (vec![5.0, 6.0], vec![0.0, 2.0, 3.0]));
    let test = set.test.ready.unwrap();
    assert_eq!(firsts(test.texts().read()), [8.0, 9.0]);
    assert!(test.images().unwrap_err().to_string().contains("no image features"));
}

#[test]
fn plain_arrays_need_only_captions_and_equal_rows_are_one_image() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "captions.txt", "one\ntwo\nthree\n");
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("not a captioned image set"), "{text}");
    put(dir.path(), "image.npy", rows(&[5.0, 6.0, 5.0]));
    put(dir.path(), "text.npy", rows(&[0.0, 1.0, 2.0]));
    let set = open(dir.path()).unwrap();
    assert_eq!(image_of(&set), [0, 1, 0]);
    assert_eq!(features(&set), (vec![5.0, 6.0], vec![0.0, 1.0, 2.0]));
    put(dir.path(), "text.npy", rows(&[0.0, 1.0, 4.0]));
    assert_ne!(open(dir.path()).unwrap().fingerprint, set.fingerprint);
    put(dir.path(), "text.npy", singles(3, 1, &[0.0; 3]));
    let text = open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("image.npy: rows of 2 numbers, where") && text.contains("text.npy has 1"), "{text}");
}

#[test]
fn features_of_evaluation_encoders_go_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "k_test.json", r#"[{"image":"a.png","caption":["x","y"]},{"image":"b.png","caption":"z"}]"#);
    put(dir.path(), "nf_resnet50_test_features.npy", singles(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    put(dir.path(), "test/vit_logits.npy", singles(3, 1, &[7.0, 7.0, 8.0]));
    let set = open(dir.path()).unwrap();
    assert!(matches!(set.test.images[0], ImageSource::Absent(_)));
    assert_eq!(set.test.features["nf_resnet50"].read().unwrap().column(2).to_vec(), [3.0, 6.0]);
    assert_eq!(set.test.features["vit"].read().unwrap().column(0).to_vec(), [7.0, 8.0]);
    put(dir.path(), "test/vit_logits.npy", singles(5, 1, &[7.0; 5]));
    assert!(open(dir.path()).unwrap_err().to_string().contains("5 rows, where the lists have 3 captions of 2 images"));
}

#[test]
fn without_features_images_are_still_required() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "k_train.json", LIST);
    assert!(open(dir.path()).unwrap_err().to_string().contains("no image \"a.png\""));
}

#[test]
fn a_neighbours_features_beside_a_whole_set_are_left_out_by_file_and_shape() {
    for name in ["k_bert_text_embed.npy", "k_bert_train_text_embed.npy"] {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "k_train.json", LIST);
        put(dir.path(), "k_test.json", r#"[{"image":"a.png","caption":["x","y"]}]"#);
        ["a.png", "b.png"].iter().for_each(|n| image::RgbImage::new(4, 2).save(dir.path().join(n)).unwrap());
        put(dir.path(), name, rows(&[8.0, 9.0]));
        let set = open(dir.path()).unwrap();
        assert!(set.train.ready.is_none() && set.test.ready.is_none());
        let noted = crate::data::source::list(dir.path(), &Default::default()).unwrap().1.noted;
        assert!(
            matches!(noted.as_slice(), [(crate::data::listing::Problem::LeftOut, place, 1)]
            if place.contains(name) && place.contains("2 x 2 numbers, but no features of the training images")),
            "{noted:?}"
        );
    }
}

#[test]
fn features_too_wide_for_the_decoder_are_named_with_their_shape() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "captions.txt", "one\ntwo\n");
    put(dir.path(), "image.npy", rows(&[5.0, 6.0]));
    put(dir.path(), "text.npy", rows(&[0.0, 1.0]));
    let ready = open(dir.path()).unwrap().train.ready.unwrap();
    ready.fits_decoder(2).unwrap();
    let text = ready.fits_decoder(768).unwrap_err().to_string();
    assert!(text.contains("image.npy: 2 x 2 numbers, where `models.decoder` decodes embeddings of 768"), "{text}");
}
