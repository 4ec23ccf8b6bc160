//! Signals from outside: none ends or stops the program without the terminal being given back.

use crate::error::{Error, Result};
use tokio::signal::unix;

/// The signals that the loop answers to.
pub(super) struct Signals {
    /// From outside: the program is to end.
    pub(super) end: [unix::Signal; 3],
    /// The link dropped.
    pub(super) hangup: unix::Signal,
    /// From outside: it is to stop for a while.
    pub(super) stop: unix::Signal,
    /// It goes on.
    pub(super) woken: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        use unix::SignalKind as Kind;
        let signal = |kind| unix::signal(kind).map_err(Error::io("signals"));
        let own = |signal: rustix::process::Signal| Kind::from_raw(signal.as_raw());
        Ok(Self {
            end: [signal(Kind::terminate())?, signal(Kind::interrupt())?, signal(Kind::quit())?],
            hangup: signal(Kind::hangup())?,
            stop: signal(own(rustix::process::Signal::TSTP))?,
            woken: signal(own(rustix::process::Signal::CONT))?,
        })
    }
}

/// Waits for any of these signals.
pub(super) async fn any(signals: &mut [unix::Signal]) {
    std::future::poll_fn(|cx| {
        let came = signals.iter_mut().any(|s| s.poll_recv(cx).is_ready());
        if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
