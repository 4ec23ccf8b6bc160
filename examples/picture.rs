//! Draws the picture in the README: starts the real program in a pseudo-terminal, synthesises and evaluates, and writes what
//! a terminal would show as SVG. `cargo run --release --example picture -- tools/picture`
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::{
    fmt::Write as _,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SIZE: (u16, u16) = (120, 40);
/// Pixels of a cell.
const CELL: (f64, f64) = (8.4, 17.0);
const TEXT: &str = "#d5d8e0";
const GROUND: &str = "#14171d";

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("name the folder to write into"));
    std::fs::create_dir_all(&folder).unwrap();
    let home = tempfile::tempdir().unwrap();
    let program = Path::new(&std::env::current_exe().unwrap()).with_file_name("../protostill");
    let size = PtySize { cols: SIZE.0, rows: SIZE.1, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(program);
    command.env_clear();
    for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")] {
        command.env(name, value);
    }
    command.env("HOME", home.path());
    // Somebody who was shown around before: the tour lies over no picture.
    let state = home.path().join(".local/state/protostill");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("toured"), "").unwrap();
    let mut child = pair.slave.spawn_command(command).unwrap();
    let parser = vt100::Parser::new(SIZE.1.try_into().unwrap(), SIZE.0.try_into().unwrap(), 0);
    let screen = Arc::new(Mutex::new(parser));
    let (mut out, mut keys, shown) =
        (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap(), screen.clone());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = out.read(&mut bytes) {
            shown.lock().unwrap().process(&bytes[..n]);
        }
    });
    let until = |words: &str| {
        let start = Instant::now();
        while !screen.lock().unwrap().screen().contents().contains(words) {
            assert!(start.elapsed() < Duration::from_secs(300), "waited for {words}");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(400));
    };
    let save = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, svg(screen.lock().unwrap().screen())).unwrap();
        eprintln!("{}", path.display());
    };
    until("· set");
    save("data.svg");
    keys.write_all(b"2").unwrap();
    until("Nearest real pairs");
    save("prototypes.svg");
    keys.write_all(b"4S").unwrap();
    until("all fresh");
    until("CLIP:");
    save("gallery.svg");
    keys.write_all(b"5\rac").unwrap();
    until("kcenter");
    until("this set is measured");
    save("runs.svg");
    keys.write_all(b"gj=").unwrap();
    until("that correspond");
    save("compared.svg");
    keys.write_all(b"q").unwrap();
    child.wait().unwrap();
}

fn colour(c: vt100::Color, default: &str) -> String {
    match c {
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        _ => default.to_owned(),
    }
}

/// Cells of one line that look alike, merged: rectangles for grounds and half-blocks, text for the rest.
fn svg(screen: &vt100::Screen) -> String {
    let (width, height) = (f64::from(SIZE.0) * CELL.0 + 16.0, f64::from(SIZE.1) * CELL.1 + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace,Menlo,\
         Consolas,DejaVu Sans Mono,monospace\" font-size=\"14\" xml:space=\"preserve\">\n<rect width=\"{width}\" \
         height=\"{height}\" rx=\"8\" fill=\"{GROUND}\"/>\n"
    );
    for y in 0..SIZE.1 {
        for (part, share) in [(0, 0.0), (1, 0.5)] {
            let fill = |x: u16| {
                let cell = screen.cell(y, x)?;
                let wanted = if part == 0 && cell.contents() == "▀" { cell.fgcolor() } else { cell.bgcolor() };
                Some(colour(wanted, GROUND)).filter(|c| c != GROUND)
            };
            runs(SIZE.0, fill, |from, to, fill| {
                let (x, top) = (8.0 + f64::from(from) * CELL.0, 8.0 + (f64::from(y) + share) * CELL.1);
                let wide = f64::from(to - from) * CELL.0 + 0.3;
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>",
                    CELL.1 / 2.0 + 0.3
                );
            });
        }
        let style = |x: u16| {
            let cell = screen.cell(y, x)?;
            let drawn = !matches!(cell.contents(), "" | " " | "▀");
            drawn.then(|| (colour(cell.fgcolor(), TEXT), cell.bold()))
        };
        runs(SIZE.0, style, |from, to, (fill, bold)| {
            let words: String = (from..to).filter_map(|x| screen.cell(y, x)).map(|c| c.contents().to_owned()).collect();
            let words = words.replace('&', "&amp;").replace('<', "&lt;");
            let weight = if *bold { " font-weight=\"bold\"" } else { "" };
            let (x, base) = (8.0 + f64::from(from) * CELL.0, 8.0 + f64::from(y) * CELL.1 + 13.0);
            let wide = f64::from(to - from) * CELL.0;
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{base:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
                 fill=\"{fill}\"{weight}>{words}</text>"
            );
        });
    }
    out + "</svg>\n"
}

/// Neighbours of the same kind as one run: `(from, to, kind)`.
fn runs<T: PartialEq>(width: u16, kind: impl Fn(u16) -> Option<T>, mut each: impl FnMut(u16, u16, &T)) {
    let mut from = 0;
    while from < width {
        let Some(now) = kind(from) else {
            from += 1;
            continue;
        };
        let to = (from + 1..width).find(|&x| kind(x).as_ref() != Some(&now)).unwrap_or(width);
        each(from, to, &now);
        from = to;
    }
}
