//! [`Codec`]: how applications' values are written. JSON, unless a layer is given another.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _};
use serde::{Deserializer, Serialize, Serializer};

use super::error::SessionError;

/// How the values of a layer's sessions are written; see [`SessionLayerBuilder::codec`]. Default: as JSON.
///
/// A value that was written by another codec cannot be read, like one of another type: it fails alone, as
/// [`Value`](super::SessionErrorKind::Value). So to change the codec of sessions that live, write something in front
/// that tells old from new. Everything else in a session, such as who is signed in, is not written by it.
///
/// Any format of serde's fits, in a line each:
///
/// ```
/// use portcullis::session::{Codec, CodecError, CodecSlot, CodecValue, MemoryBackend, SessionLayer};
/// use serde::de::DeserializeSeed;
///
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn encode(&self, value: CodecValue<'_>) -> Result<Vec<u8>, CodecError> {
///         Ok(serde_json::to_vec_pretty(&value)?)
///     }
///
///     fn decode(&self, bytes: &[u8], slot: CodecSlot<'_>) -> Result<(), CodecError> {
///         Ok(slot.deserialize(&mut serde_json::Deserializer::from_slice(bytes))?)
///     }
/// }
///
/// let layer = SessionLayer::builder(MemoryBackend::new()).codec(Pretty).build()?;
/// # drop(layer);
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
///
/// [`SessionLayerBuilder::codec`]: super::SessionLayerBuilder::codec
pub trait Codec: Send + Sync + 'static {
    /// The value as it is stored.
    ///
    /// # Errors
    /// When it cannot be written. The error is not shown to anybody, because it may quote the value.
    fn encode(&self, value: CodecValue<'_>) -> Result<Vec<u8>, CodecError>;

    /// Reads a stored value into the slot.
    ///
    /// # Errors
    /// When it cannot be read as what belongs there. The error is not shown to anybody, because it may quote the value.
    fn decode(&self, bytes: &[u8], slot: CodecSlot<'_>) -> Result<(), CodecError>;
}

/// Why a value could not be written or read.
pub type CodecError = Box<dyn Error + Send + Sync>;

/// A value that a [`Codec`] is to write: whatever its type, it can be serialized.
#[derive(Clone, Copy)]
pub struct CodecValue<'a>(&'a dyn erased_serde::Serialize);

/// Where a [`Codec`] puts what it reads: give it a deserializer.
pub struct CodecSlot<'a>(&'a mut Fill<'a>);

type Fill<'a> = dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

/// A layer's codec. `None` is JSON, without detour.
#[derive(Clone, Default)]
pub(crate) struct Coding(Option<Arc<dyn Codec>>);

impl Coding {
    pub(crate) fn of(codec: impl Codec) -> Self {
        Self(Some(Arc::new(codec)))
    }

    pub(crate) fn is_json(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn encode<T: Serialize>(&self, key: &str, value: &T) -> Result<Vec<u8>, SessionError> {
        let encoded = match &self.0 {
            None => json(value),
            Some(codec) => codec.encode(CodecValue(&value)).ok(),
        };
        encoded.ok_or_else(|| SessionError::value(key, "cannot be written"))
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self, key: &str, bytes: &[u8]) -> Result<T, SessionError> {
        let decoded = match &self.0 {
            None => serde_json::from_slice(bytes).ok(),
            Some(codec) => decode_by(&**codec, bytes),
        };
        decoded.ok_or_else(|| SessionError::value(key, "cannot be read as the type asked for"))
    }
}

/// Most values are short, so the room is less than `serde_json` makes.
fn json(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    serde_json::to_writer(&mut bytes, value).ok()?;
    Some(bytes)
}

fn decode_by<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Option<T> {
    let mut value = None;
    let mut fill = |deserializer: &mut dyn erased_serde::Deserializer<'_>| {
        value = Some(T::deserialize(deserializer)?);
        Ok(())
    };
    codec.decode(bytes, CodecSlot(&mut fill)).ok()?;
    value
}

impl Serialize for CodecValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.0, serializer)
    }
}

impl<'de> DeserializeSeed<'de> for CodecSlot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        (self.0)(&mut erased).map_err(D::Error::custom)
    }
}

impl fmt::Debug for CodecValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodecValue(..)")
    }
}

impl fmt::Debug for CodecSlot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodecSlot(..)")
    }
}

impl fmt::Debug for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_json() { "Json" } else { "Codec" })
    }
}
