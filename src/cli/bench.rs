//! `protostill bench`: methods x pairs x noise x seeds, one table and one page. What was measured before is taken from the
//! store, so a run that was killed goes on where it was.

use super::{
    Needs,
    args::{Bench, Global},
    config, print, print_json, progress,
    report::{
        html,
        page::{by_pairs, whole},
        plot::Line,
    },
    table::render,
    workbench, world_spec,
};
use crate::{
    config::Config,
    data::world::Swapped,
    error::{Error, Result},
    fsio::{printable, try_place, write_atomic},
    pipeline::{
        Ctx,
        methods::{Method, Way},
        recipe::Recipe,
        score::evaluate::mean_and_sd,
        trust::prune::PruneMethod,
        workbench::Workbench,
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is measured together: noise, pairs, place of the way, encoder.
type Cell = (Swapped, usize, usize, String);

/// What was measured.
struct Measured {
    ways: Vec<Way>,
    /// R-mean of each seed.
    scores: BTreeMap<Cell, Vec<f64>>,
    /// What trust said, by noise.
    trust: Vec<(Swapped, Value)>,
    seeds: usize,
}

pub fn run(global: &Global, args: &Bench) -> Result<()> {
    let mut config = args.protocol.over(config(global)?)?;
    let ways = args.methods.iter().map(|name| name.parse()).collect::<Result<Vec<Way>>>()?;
    if config.data.source != "world" && args.noise.iter().any(|n| n.share() > 0.0) {
        return Err(Error::setting("--noise", "captions are swapped in the demo world only"));
    }
    args.out.iter().try_for_each(|out| try_place(out))?;
    let ctx = progress::ctx(global.progress);
    let mut found = Measured { ways, scores: BTreeMap::new(), trust: Vec::new(), seeds: args.seeds.len() };
    if args.ceiling {
        found.ways.push(Method::Random.into());
    }
    for &noise in &args.noise {
        (config.data.noise, config.data.noise_among) = (noise.share(), noise.among);
        for &seed in &args.seeds {
            config.data.noise_seed = (noise.share() > 0.0).then_some(seed);
            let config = Config { seed, ..config.clone() }.checked()?;
            let bench = workbench(global, &config, Needs::of(found.ways.iter().copied(), true), &ctx)?;
            if config.prune.method == PruneMethod::Trust && seed == args.seeds[0] {
                found.trust.push((noise, trusted(&bench, &config, &ctx)?));
            }
            let mut measure = |at: usize, pairs: usize| found.measure(&bench, (noise, pairs, at), &config, &ctx);
            for &pairs in &args.pairs {
                (0..args.methods.len()).try_for_each(|at| measure(at, pairs))?;
            }
            if args.ceiling {
                measure(args.methods.len(), bench.dataset().train.pairs.len())?;
            }
        }
    }
    if let Some(out) = &args.out {
        write_atomic(out, found.page().as_bytes())?;
    }
    if global.json {
        return print_json(&found.json());
    }
    found.show()?;
    match &args.out {
        Some(out) => print(format_args!("curves: {}", printable(&out.display().to_string()))),
        None => Ok(()),
    }
}

/// What trust says of the pairs, beside the truth where it is known.
fn trusted(bench: &Workbench, config: &Config, ctx: &Ctx) -> Result<Value> {
    let found = bench.trust(ctx)?;
    let (kept, mut about) = (found.kept(), found.about());
    about["noise"] = json!(config.data.noise);
    if config.data.source == "world" {
        let spec = world_spec(config);
        let shown = spec.shown();
        let per = shown.len() / spec.scenes.max(1);
        let wrong = |row: usize| shown[row] != row / per;
        about["true_share"] = json!((0..shown.len()).filter(|&r| wrong(r)).count() as f64 / shown.len().max(1) as f64);
        about["mismatched"] = json!(kept.0.iter().filter(|&&r| wrong(r as usize)).count());
    }
    Ok(about)
}

impl Measured {
    /// Makes a set and adds what its students reach.
    fn measure(
        &mut self,
        bench: &Workbench,
        (noise, pairs, at): (Swapped, usize, usize),
        config: &Config,
        ctx: &Ctx,
    ) -> Result<()> {
        let mut recipe = Recipe { method: self.ways[at], ..config.recipe() };
        recipe.cluster.prototypes = pairs;
        let set = bench.distil(&recipe, ctx)?;
        for recall in bench.evaluate(&set, &config.evaluation, config.seed, ctx)? {
            self.scores.entry((noise, pairs, at, recall.encoder)).or_default().push(recall.r_mean);
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let row = |((noise, pairs, at, encoder), runs): (&Cell, &Vec<f64>)| {
            let (mean, sd) = mean_and_sd(runs.iter().copied());
            json!({ "noise": noise.share(), "among": noise.among, "pairs": pairs, "method": self.ways[*at],
                "encoder": encoder, "r_mean": { "mean": mean, "sd": sd, "seeds": runs } })
        };
        let trust: Vec<&Value> = self.trust.iter().map(|about| &about.1).collect();
        json!({ "rows": self.scores.iter().map(row).collect::<Vec<_>>(), "trust": trust })
    }

    /// The table: its head, and its lines.
    fn table(&self) -> (Vec<&str>, Vec<Vec<String>>) {
        let mut lines: BTreeMap<(Swapped, usize, usize), Vec<String>> = BTreeMap::new();
        let mut encoders: Vec<&str> = Vec::new();
        for ((noise, pairs, at, encoder), runs) in &self.scores {
            if !encoders.contains(&encoder.as_str()) {
                encoders.push(encoder);
            }
            let (mean, sd) = mean_and_sd(runs.iter().copied());
            let head = || vec![self.ways[*at].to_string(), pairs.to_string(), noise.to_string()];
            lines.entry((*noise, *pairs, *at)).or_insert_with(head).push(format!("{mean:.1} ± {sd:.1}"));
        }
        ([&["method", "pairs", "noise"], &encoders[..]].concat(), lines.into_values().collect())
    }

    /// Under the table: what its numbers are, and what trust said.
    fn remarks(&self) -> Vec<String> {
        let first = format!("R-mean in percent, mean ± sd over {} seeds", self.seeds);
        let trust = self.trust.iter().map(|(noise, about)| {
            let number = |key: &str| about[key].as_f64().unwrap_or(f64::NAN);
            // Of data that we did not mix ourselves nobody knows.
            let truth =
                |key: &str, digits| about[key].as_f64().map_or(String::new(), |n| format!(" (true {n:.digits$})"));
            format!(
                "noise {noise}: mismatched {:.3} by trust, at most {:.3}{}; {:.0} expected among {} kept{}",
                number("share"),
                number("upper"),
                truth("true_share", 3),
                number("expected_mismatched"),
                about["kept"],
                truth("mismatched", 0),
            )
        });
        std::iter::once(first).chain(trust).collect()
    }

    fn show(&self) -> Result<()> {
        let (head, lines) = self.table();
        print(format_args!("{}\n", render(&head, &lines)))?;
        self.remarks().iter().try_for_each(|remark| print(format_args!("{remark}")))
    }

    /// Curves for each noise and encoder, and the table.
    fn page(&self) -> String {
        let mut curves: BTreeMap<(Swapped, &str), BTreeMap<usize, Line>> = BTreeMap::new();
        for ((noise, pairs, at, encoder), runs) in &self.scores {
            let (mean, sd) = mean_and_sd(runs.iter().copied());
            let line = || Line { name: self.ways[*at].to_string(), points: Vec::new() };
            let curve = curves.entry((*noise, encoder)).or_default().entry(*at).or_insert_with(line);
            curve.points.push((*pairs as f64, mean, sd));
        }
        let mut body = String::from("<div class=\"charts\">\n");
        for (i, ((noise, encoder), lines)) in curves.into_iter().enumerate() {
            body += &by_pairs(i, &format!("{encoder}, noise {noise}"), lines.into_values().collect());
        }
        let (head, lines) = self.table();
        body += &format!("</div>\n{}", html::table("All figures", "", &head, &lines));
        self.remarks().iter().for_each(|remark| body += &format!("<p>{}</p>\n", html::escaped(remark)));
        whole("What methods teach", &body)
    }
}
