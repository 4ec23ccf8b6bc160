//! `protostill world`.

use super::{
    args::{Global, World},
    progress,
};
use crate::{
    data::world::{DEFAULT_SEED, WorldSpec, write},
    error::Result,
    fsio::printable,
};

pub fn run(global: &Global, args: &World) -> Result<()> {
    let ctx = progress::ctx(global.progress);
    let spec = WorldSpec::new(args.pairs, args.noise, global.seed.unwrap_or(DEFAULT_SEED));
    write(&args.out, &spec, &mut |done, total| ctx.step("draw", done, total))?;
    if global.json {
        super::print_json(
            &serde_json::json!({ "dir": args.out, "scenes": spec.scenes, "noise": spec.noise, "seed": spec.seed }),
        )
    } else {
        let out = printable(&args.out.display().to_string());
        super::print(format_args!("{} scenes in {out}; distil them with: protostill distill --data {out}", spec.scenes))
    }
}
