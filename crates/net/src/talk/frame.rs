//! Frames of the talk stream: `u32 length | u8 kind | [job, 32 | u64 audience] | body`, big-endian.

use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt};
use protocol::JobId;
use tokio::time::timeout;

use crate::limits::{TALK_FRAME_BYTES_MAX, TALK_FRAME_WITHIN};

const DIRECT: u8 = 0;
const JOB: u8 = 1;
const PING: u8 = 2;
const PONG: u8 = 3;

/// How much is read at once, so that memory follows the bytes received and not those promised.
const STEP: usize = 64 << 10;

/// What one side says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Direct(Arc<[u8]>),
    /// `audience` sums up to whom it was said; see [`Roster::audience`](crate::roster::Roster).
    Job {
        job: JobId,
        audience: u64,
        bytes: Arc<[u8]>,
    },
    Ping(u64),
    Pong(u64),
}

/// Why a frame cannot be read; after that the stream has no meaning any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes")]
    BadLength(usize),
    #[error("a frame of unknown kind or shape")]
    BadShape,
    #[error("a frame that is cut short")]
    Truncated,
    #[error("a frame that takes too long")]
    TooSlow,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Frame {
    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Direct(body) => 5 + body.len(),
            Self::Job { bytes, .. } => 5 + 32 + 8 + bytes.len(),
            Self::Ping(_) | Self::Pong(_) => 5 + 8,
        }
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let len = u32::try_from(self.len() - 4).expect("senders check the length of messages");
        to.extend(len.to_be_bytes());
        match self {
            Self::Direct(body) => {
                to.push(DIRECT);
                to.extend(&body[..]);
            }
            Self::Job { job, audience, bytes } => {
                to.push(JOB);
                to.extend(job.as_bytes());
                to.extend(audience.to_be_bytes());
                to.extend(&bytes[..]);
            }
            Self::Ping(nonce) => {
                to.push(PING);
                to.extend(nonce.to_be_bytes());
            }
            Self::Pong(nonce) => {
                to.push(PONG);
                to.extend(nonce.to_be_bytes());
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            DIRECT => Some(Self::Direct(rest.into())),
            JOB => {
                let (job, rest) = rest.split_first_chunk::<32>()?;
                let (audience, bytes) = rest.split_first_chunk::<8>()?;
                let audience = u64::from_be_bytes(*audience);
                Some(Self::Job { job: JobId::new(*job), audience, bytes: bytes.into() })
            }
            PING => Some(Self::Ping(u64::from_be_bytes(rest.try_into().ok()?))),
            PONG => Some(Self::Pong(u64::from_be_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

/// The next frame; `None` if the stream ended between two.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    let mut head = [0; 4];
    if from.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    timeout(TALK_FRAME_WITHIN, rest(from, head)).await.map_err(|_| FrameError::TooSlow)?.map(Some)
}

async fn rest(from: &mut (impl AsyncRead + Unpin), mut head: [u8; 4]) -> Result<Frame, FrameError> {
    from.read_exact(&mut head[1..]).await.map_err(cut)?;
    let len = u32::from_be_bytes(head) as usize;
    if len == 0 || TALK_FRAME_BYTES_MAX < len {
        return Err(FrameError::BadLength(len));
    }
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let have = bytes.len();
        bytes.resize(len.min(have + STEP), 0);
        from.read_exact(&mut bytes[have..]).await.map_err(cut)?;
    }
    Frame::parse(&bytes).ok_or(FrameError::BadShape)
}

fn cut(error: io::Error) -> FrameError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => FrameError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;
    use crate::dice::Dice;

    fn any_frame(dice: &mut Dice) -> Frame {
        let len = dice.below(200);
        match dice.below(4) {
            0 => Frame::Direct(dice.bytes(len).into()),
            1 => {
                let job = JobId::new(*dice.bytes(32).first_chunk().unwrap());
                Frame::Job { job, audience: dice.any(), bytes: dice.bytes(len).into() }
            }
            2 => Frame::Ping(dice.any()),
            _ => Frame::Pong(dice.any()),
        }
    }

    fn written<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.into_iter().for_each(|frame| frame.write(&mut bytes));
        bytes
    }

    /// Frames up to the end, or to the first that cannot be read; each is what the bytes say and no more.
    async fn frames_of(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut from = Cursor::new(bytes);
        let mut frames = Vec::new();
        loop {
            let start = from.position() as usize;
            let Some(frame) = read(&mut from).await? else { return Ok(frames) };
            assert_eq!(written([&frame]), bytes[start..from.position() as usize]);
            assert!(frame.len() - 4 <= TALK_FRAME_BYTES_MAX);
            frames.push(frame);
        }
    }

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let frames = [
            Frame::Direct((&b"hello"[..]).into()),
            Frame::Direct((&b""[..]).into()),
            Frame::Job { job: JobId::new([3; 32]), audience: 9, bytes: vec![7; 200_000].into() },
            Frame::Ping(5),
            Frame::Pong(u64::MAX),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            let before = bytes.len();
            frame.write(&mut bytes);
            assert_eq!(bytes.len() - before, frame.len());
        }
        let mut from = Cursor::new(bytes);
        for frame in frames {
            assert_eq!(read(&mut from).await.unwrap(), Some(frame));
        }
        assert_eq!(read(&mut from).await.unwrap(), None);
    }

    #[tokio::test]
    async fn frames_that_lie_are_refused() {
        for (bytes, what) in [
            (&[0, 0, 0, 0][..], "empty"),
            (&[0xff, 0xff, 0xff, 0xff, 0], "4 GiB"),
            (&[0, 0, 0, 9, 0, 1], "cut short"),
            (&[0, 0], "cut within the length"),
            (&[0, 0, 0, 1, 77], "unknown kind"),
            (&[0, 0, 0, 2, JOB, 1], "a job of one byte"),
            (&[0, 0, 0, 2, PING, 1], "a ping of one byte"),
        ] {
            assert!(read(&mut Cursor::new(bytes)).await.is_err(), "{what}");
        }
    }

    #[tokio::test]
    async fn noise_and_frames_with_one_thing_wrong_are_refused_or_read_as_they_are() {
        let mut dice = Dice::new("frames");
        let (mut read, mut refused) = (0, 0);
        let mut count = |ends_well: bool| *if ends_well { &mut read } else { &mut refused } += 1;
        for _ in 0..4000 {
            let frames: Vec<Frame> = (0..1 + dice.below(3)).map(|_| any_frame(&mut dice)).collect();
            let bytes = written(&frames);
            assert_eq!(frames_of(&bytes).await.unwrap(), frames);
            count(frames_of(&dice.mutate(&bytes)).await.is_ok());

            let mut noise = dice.bytes(64);
            // Most lengths would be refused at once.
            noise[..dice.below(4)].fill(0);
            noise[4] &= 7;
            count(frames_of(&noise).await.is_ok());
        }
        assert!(100 < read && 100 < refused, "{read} read and {refused} refused");
    }
}
