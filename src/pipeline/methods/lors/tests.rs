#![allow(clippy::unwrap_used)]
use super::*;
use crate::{models::loss::symmetric_info_nce, pipeline::ridge::sample};

/// Sixteen pairs of a hundred, and what is learned of them.
fn learned(students: usize, seed: u64) -> (Embeddings, Array2<f32>, Array2<f32>, Array2<f32>) {
    let (data, _) = sample::pairs(100, 1, [12, 9], 0.0, 5);
    let first = |rows: ArrayView2<f32>| rows.slice(ndarray::s![..16, ..]).to_owned();
    let (pictures, captions) = (first(data.image.view()), first(data.text.view()));
    let settings = LorsSettings { rank: 3, students };
    let (targets, similarity) =
        lors((pictures.view(), captions.view()), &data, &[1.0; 100], (settings, seed), &Ctx::quiet()).unwrap();
    (data, pictures, targets, similarity)
}

#[test]
fn nothing_learned_are_the_captions_each_alike_to_itself_alone() {
    let (data, _, targets, similarity) = learned(0, 1);
    let captions = data.text.view().slice_move(ndarray::s![..16, ..]);
    assert!((&targets - &captions).iter().all(|v| v.abs() < 1e-5));
    assert_eq!(similarity, Array2::<f32>::eye(16) * 1.01);
}

#[test]
fn a_student_of_what_was_learned_fits_real_pairs_better_than_one_of_the_captions() {
    let (space_data, pictures, targets, similarity) = learned(150, 1);
    let space = Space::new(&space_data, Texts::Raw).unwrap();
    let captions = space_data.text.view().slice_move(ndarray::s![..16, ..]);
    let weights = [1.0; 100];
    let of = |texts: ArrayView2<f32>| {
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let real = Real::new(&space, &weights, (pictures.view(), captions)).unwrap();
        let set = Set::new(&real, (pictures.view(), texts), 3, &mut rng).unwrap();
        let (start, batch) = (start((9, 12), &mut rng).unwrap(), real.batch(&mut rng).unwrap());
        loss(&batch, &set.student(start).unwrap()).unwrap().to_scalar::<f32>().unwrap()
    };
    let (before, after) = (of(captions), of(targets.view()));
    assert!(after < 0.9 * before, "{after} {before}");
    assert_eq!(similarity, similarity.t());
    assert!(similarity.iter().all(|&v| v >= 0.0) && similarity.diag().iter().all(|&v| v > 0.0));
    assert!(similarity.indexed_iter().any(|((i, j), &v)| i != j && v > 0.01), "{similarity}");
}

#[test]
fn a_students_step_goes_down_the_students_own_loss() {
    let (data, _) = sample::pairs(40, 1, [7, 5], 0.0, 6);
    let (pictures, captions) = (data.image.view(), data.text.view());
    let space = Space::new(&data, Texts::Raw).unwrap();
    let real = Real::new(&space, &[1.0; 40], (pictures, captions)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let set = Set::new(&real, (pictures, captions), 2, &mut rng).unwrap();
    set.right.set(&normal((40, 2), &mut rng).unwrap()).unwrap();
    let (map, soft) = (normal((5, 7), &mut rng).unwrap(), set.similarity().unwrap());
    let rows = soft.broadcast_div(&soft.sum_keepdim(1).unwrap()).unwrap();
    let wanted = (rows + soft.broadcast_div(&soft.sum_keepdim(0).unwrap()).unwrap()).unwrap();
    let ours = array(&set.slope(&map, &wanted).unwrap()).unwrap();
    let (images, mapped) = (array(&set.images).unwrap(), array(&set.texts.matmul(&map).unwrap()).unwrap());
    let soft = array(&soft).unwrap();
    let (_, theirs) = symmetric_info_nce(images.view(), mapped, TEMPERATURE as f32, Some(soft.view()));
    let size = theirs.iter().fold(0f32, |a, v| a.max(v.abs()));
    assert!((&ours - &theirs).iter().all(|v| v.abs() < 1e-4 * size), "{ours} {theirs}");
}

#[test]
fn equal_seeds_learn_the_same_and_pairs_of_no_weight_nothing() {
    let (data, pictures, targets, similarity) = learned(20, 4);
    assert_eq!(learned(20, 4).2, targets);
    let captions = data.text.view().slice_move(ndarray::s![..16, ..]);
    let mut weights = vec![1.0; 100];
    weights[50..].fill(0.0);
    let few = LorsSettings { rank: 3, students: 20 };
    let of = |data: &Embeddings| lors((pictures.view(), captions), data, &weights, (few, 4), &Ctx::quiet()).unwrap();
    let mut other = data.text.clone().into_array();
    other.slice_mut(ndarray::s![50.., ..]).fill(3.0);
    assert_eq!(of(&data), of(&Embeddings { text: other.into(), ..data.clone() }));
    assert_ne!(of(&data), (targets, similarity));
}

#[test]
fn one_pair_and_captions_all_alike_give_numbers() {
    let (data, _) = sample::pairs(30, 2, [6, 4], 0.0, 6);
    for m in [1, 3] {
        let same = Array2::from_shape_fn((m, 4), |(_, j)| j as f32);
        let pictures = Array2::from_shape_fn((m, 6), |(_, j)| j as f32);
        let few = (LorsSettings { students: 3, ..Default::default() }, 1);
        let found = lors((pictures.view(), same.view()), &data, &[1.0; 60], few, &Ctx::quiet()).unwrap();
        assert!(found.0.dim() == (m, 4) && found.1.dim() == (m, m));
        assert!(found.0.iter().chain(&found.1).all(|v| v.is_finite()));
        let wide = Array2::zeros((m, 5));
        assert!(lors((pictures.view(), wide.view()), &data, &[1.0; 60], few, &Ctx::quiet()).is_err());
    }
}
