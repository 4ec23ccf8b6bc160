//! The loop's part in pictures: what the terminal knows is asked, and pixels are made beside the loop.

use super::{ANSWER, FRAME, Loop};
use crate::{
    app::Event,
    error::{Error, Result},
    ui::{
        image::{self, Agreed, Protocol, Ready, Wish, ask},
        keymap, terminal,
        theme::Theme,
    },
};
use std::io;
use tokio::sync::{mpsc, oneshot};

/// The terminal's answer, while it is waited for; nobody reads keys before.
pub(super) type Asked = Option<oneshot::Receiver<io::Result<Vec<u8>>>>;

impl Loop {
    /// Asks the terminal which pictures it knows and how large a cell is; the answer is waited for beside the loop.
    pub(super) fn ask(&mut self) -> Result<()> {
        let (answer, asked) = oneshot::channel();
        self.asked = Some(asked);
        // One that is spoken to anyway is not waited for until somebody types.
        let most = matches!(self.pixels, Wish::Only(_)).then_some(image::PATIENCE);
        let pixels = self.cells_alone.is_none();
        let ask = move || answer.send(ask::question(pixels).and_then(|()| ask::listen(most)));
        let spawned = std::thread::Builder::new().name("terminal".into()).spawn(ask);
        if let Err(e) = spawned {
            return self.agree(Err(e));
        }
        let why = self.cells_alone.clone().unwrap_or_else(|| "half-blocks until the terminal says more".into());
        self.apply(Event::Pictures(why))
    }

    /// Settles how pictures are shown by what the terminal answered.
    pub(super) fn agree(&mut self, answer: io::Result<Vec<u8>>) -> Result<()> {
        self.asked = None;
        let agreed = image::settle(self.pixels, answer, |name| std::env::var(name).ok());
        let agreed = match self.cells_alone.take() {
            Some(why) => Agreed { protocol: None, why, ..agreed },
            None => agreed,
        };
        self.settled(agreed)
    }

    /// Shows pictures as agreed, and takes up the keys.
    fn settled(&mut self, agreed: Agreed) -> Result<()> {
        let Agreed { protocol, through, why, typed, cell, light } = agreed;
        self.stand_on(light);
        self.overlay.speak(protocol, through, cell);
        if why != self.state.shown_as {
            self.apply(Event::Pictures(why))?;
        }
        for key in keymap::typed(&typed) {
            self.apply(Event::Key(key))?;
        }
        self.keys = Some(keys()?);
        self.changed(ANSWER);
        Ok(())
    }

    /// Takes the colours for a ground that the terminal says is light or dark, unless the user said which.
    pub(super) fn stand_on(&mut self, light: Option<bool>) {
        let (asked, palette, depth) = (self.light, self.palette, self.look.theme.depth);
        if let (None, Some(light)) = (asked, light) {
            self.look.theme = Theme::of(palette, depth, light);
            self.changed(ANSWER);
        }
    }

    /// A terminal that was slow to answer is believed all the same.
    pub(super) fn upgrade(&mut self) -> Result<()> {
        if self.pixels == Wish::Auto && self.overlay.protocol().is_none() {
            let through = std::env::var_os("TMUX").is_some_and(|v| !v.is_empty());
            self.overlay.speak(Some(Protocol::Kitty), through, None);
            self.apply(Event::Pictures(if through { image::THROUGH } else { image::KITTY }.into()))?;
            self.changed(ANSWER);
        }
        Ok(())
    }

    /// Has pixels prepared beside the loop.
    pub(super) fn prepare(&mut self) {
        for work in self.overlay.prepare() {
            let ready = self.ready.0.clone();
            self.painting.push(0, move || match work() {
                Ok(made) => drop(ready.send(made)),
                Err(e) => tracing::warn!("a picture stays half-blocks: {e}"),
            });
        }
    }

    pub(super) fn show(&mut self, ready: Ready) -> Result<()> {
        terminal::synchronised(|| self.overlay.show(ready))?;
        // No cell beneath it is drawn any more, or its letters are.
        self.changed(FRAME);
        Ok(())
    }
}

/// What the terminal answered.
pub(super) async fn heard(asked: &mut Asked) -> io::Result<Vec<u8>> {
    match asked {
        Some(asked) => asked.await.unwrap_or_else(|e| Err(io::Error::other(e))),
        None => std::future::pending().await,
    }
}

/// Reads the terminal's events on a thread: crossterm never returns from a terminal that is gone.
fn keys() -> Result<mpsc::UnboundedReceiver<crossterm::event::Event>> {
    let (sender, keys) = mpsc::unbounded_channel();
    let read = move || while crossterm::event::read().is_ok_and(|event| sender.send(event).is_ok()) {};
    std::thread::Builder::new().name("keys".into()).spawn(read).map_err(Error::io("a thread to read keys"))?;
    Ok(keys)
}
