//! Looks whether the configuration, or a certificate or secret it names, has changed.
//!
//! A look costs a `stat` for each file; what they hold is read only after a change has come to rest. Links are
//! followed, because that is how a mounted ConfigMap or Secret changes.

use super::{Cause, NotReloaded, Reloads};
use crate::service::Proxy;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use tokio::time::sleep;

/// When each file was written, where it lies and how long it is; none where there is none.
type Look = Vec<Option<(i64, i64, u64, u64)>>;

impl Reloads {
    /// Looks again and again, for as long as this future lives.
    pub async fn watch(&self, proxy: &Arc<Proxy>) {
        let mut generations = proxy.generations.subscribe();
        // The first look comes to a comparison: the file may have changed since it was read.
        let (mut last, mut moves) = (Look::new(), true);
        loop {
            let every = proxy.snapshot.load().watch;
            tokio::select! {
                () = sleep(every), if !every.is_zero() => {}
                _ = generations.changed() => continue,
            }
            let look = self.look().await;
            if look != last {
                (last, moves) = (look, true);
            } else if std::mem::take(&mut moves) && self.has_changed().await {
                let reloaded = self.reload(proxy, Cause::Watch).await;
                if reloaded == Err(NotReloaded::Ending) {
                    return;
                }
            }
        }
    }

    async fn look(&self) -> Look {
        let files = self.files.lock().clone();
        let look = move || {
            let of = |path| {
                let data = std::fs::metadata(path).ok()?;
                Some((data.mtime(), data.mtime_nsec(), data.ino(), data.size()))
            };
            files.paths().map(of).collect()
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    async fn has_changed(&self) -> bool {
        let files = self.files.lock().clone();
        tokio::task::spawn_blocking(move || files.again() != files).await.unwrap_or_default()
    }
}
