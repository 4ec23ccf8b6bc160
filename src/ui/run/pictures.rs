//! The loop's part in pictures: what the terminal knows is asked, and pixels are made beside the loop.

use super::{ANSWER, Loop};
use crate::{
    app::Event,
    error::Result,
    ui::{
        image::{self, Agreed, Protocol, Ready, Wish, ask},
        keymap, terminal,
    },
};
use crossterm::event::EventStream;
use std::io;
use tokio::sync::oneshot;

/// The terminal's answer, while it is waited for; nobody reads keys before.
pub(super) type Asked = Option<oneshot::Receiver<io::Result<Vec<u8>>>>;

impl Loop {
    /// Asks the terminal which pictures it knows; the answer is waited for beside the loop.
    pub(super) fn ask(&mut self) -> Result<()> {
        if self.pixels == Wish::Cells {
            return self.agree(Ok(Vec::new()));
        }
        let (answer, asked) = oneshot::channel();
        self.asked = Some(asked);
        tokio::task::spawn_blocking(move || answer.send(ask::question().and_then(|()| ask::listen(None))));
        self.apply(Event::Pictures("half-blocks until the terminal says more".into()))
    }

    /// Settles how pictures are shown, and takes up the keys.
    pub(super) fn agree(&mut self, answer: io::Result<Vec<u8>>) -> Result<()> {
        self.asked = None;
        let Agreed { protocol, why, typed } = image::settle(self.pixels, answer, |name| std::env::var(name).ok());
        self.overlay.speak(protocol);
        self.apply(Event::Pictures(why))?;
        for key in keymap::typed(&typed) {
            self.apply(Event::Key(key))?;
        }
        self.keys = Some(EventStream::new());
        self.changed(ANSWER);
        Ok(())
    }

    /// A terminal that was slow to answer is believed all the same.
    pub(super) fn upgrade(&mut self) -> Result<()> {
        if self.pixels == Wish::Auto && self.overlay.protocol().is_none() {
            self.overlay.speak(Some(Protocol::Kitty));
            self.apply(Event::Pictures(image::KITTY.into()))?;
            self.changed(ANSWER);
        }
        Ok(())
    }

    /// Has pixels prepared beside the loop.
    pub(super) fn prepare(&mut self) {
        for work in self.overlay.prepare() {
            let ready = self.ready.0.clone();
            tokio::task::spawn_blocking(move || match work() {
                Ok(made) => drop(ready.send(made)),
                Err(e) => tracing::warn!("a picture stays half-blocks: {e}"),
            });
        }
    }

    pub(super) fn show(&mut self, ready: Ready) -> Result<()> {
        terminal::synchronised(|| self.overlay.show(ready))
    }
}

/// What the terminal answered.
pub(super) async fn heard(asked: &mut Asked) -> io::Result<Vec<u8>> {
    match asked {
        Some(asked) => asked.await.unwrap_or_else(|e| Err(io::Error::other(e))),
        None => std::future::pending().await,
    }
}
