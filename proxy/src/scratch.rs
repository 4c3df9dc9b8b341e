//! One buffer for each thread, which all its connections read into: while a connection waits, nothing is held for it,
//! and what came takes as much memory as there is of it.

use bytes::BytesMut;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::ready;
use tokio::io::{AsyncRead, ReadBuf};

/// As much as Pingora's own read buffers hold, which are passed over for a read that asks for so much.
const BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BYTES].into_boxed_slice());
}

/// Reads what comes next and puts it behind what is there; 0 when the connection has ended.
///
/// # Errors
/// When the connection is broken.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), behind: &mut BytesMut) -> std::io::Result<usize> {
    poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut came = ReadBuf::new(scratch);
            let result = ready!(Pin::new(&mut *stream).poll_read(context, &mut came));
            behind.extend_from_slice(came.filled());
            result.map(|()| came.filled().len()).into()
        })
    })
    .await
}
