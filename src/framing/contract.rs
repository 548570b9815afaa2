//! [`Framing`]: what the framings have in common, and what one of your own has to do.

use crate::exceptions::Result;

/// Where one message ends and the next begins; its methods are called in the order
///
/// ```text
/// ( decode | encode )* finish?
/// ```
///
/// Writing and reading do not depend on each other, so that one value may serve both
/// directions of a connection. A value belongs to one stream; clone one that has seen
/// nothing for the next.
pub trait Framing {
    /// The next message that ends in `data`, without what marks its end.
    ///
    /// `data` is moved on behind that message. So whoever stops after a message has
    /// in `data` what comes after it, which may be something else entirely: the body
    /// behind a header, TLS behind a `STARTTLS`. At `None` all of it has been taken,
    /// and what is the beginning of a message is kept. Ask until then, or bytes are
    /// lost.
    ///
    /// A message that lies in `data` as a whole is given from there, without a copy.
    ///
    /// # Errors
    ///
    /// Kind `LimitOverrun` if the message is too large, as soon as that is known. Kind
    /// `Value` for bytes that cannot be. After an error nobody knows where a message
    /// begins, so the same error comes again for ever.
    ///
    /// ```
    /// use stackio::framing::{Chunks, Framing};
    ///
    /// let mut chunks = Chunks::new(b";")?;
    /// let mut data: &[u8] = b"one;two;th";
    /// assert_eq!(chunks.decode(&mut data)?, Some(&b"one"[..]));
    /// assert_eq!(data, b"two;th");
    /// assert_eq!(chunks.decode(&mut data)?, Some(&b"two"[..]));
    /// assert_eq!(chunks.decode(&mut data)?, None); // "th" is kept
    /// assert_eq!(chunks.decode(&mut &b"ree;"[..])?, Some(&b"three"[..]));
    /// # Ok::<(), stackio::Error>(())
    /// ```
    fn decode<'a, 'b: 'a>(&'a mut self, data: &mut &'b [u8]) -> Result<Option<&'a [u8]>>;

    /// Says that the stream has ended.
    ///
    /// # Errors
    ///
    /// Kind `IncompleteRead` with an [`IncompleteRead`](crate::IncompleteRead), which
    /// has what there was, if it ended within a message. The error of
    /// [`decode`](Framing::decode), if there was one.
    ///
    /// ```
    /// use stackio::IncompleteRead;
    /// use stackio::framing::{Chunks, Framing};
    ///
    /// let mut chunks = Chunks::new(b";")?;
    /// assert_eq!(chunks.decode(&mut &b"on"[..])?, None);
    /// let error = chunks.finish().unwrap_err();
    /// assert_eq!(error.downcast_ref::<IncompleteRead>().unwrap().partial, b"on");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    fn finish(&mut self) -> Result;

    /// Adds the message, with what marks its end, to `out`. An error adds nothing.
    ///
    /// # Errors
    ///
    /// What [`decode`](Framing::decode) with the same settings would not give back as
    /// it was: kind `LimitOverrun` if it is too large, kind `Value` if it has something
    /// in it that marks an end.
    ///
    /// ```
    /// use stackio::framing::{Chunks, Framing};
    ///
    /// let (chunks, mut out) = (Chunks::new(b";")?, Vec::new());
    /// chunks.encode_into(b"one", &mut out)?;
    /// chunks.encode_into(b"two", &mut out)?;
    /// assert!(chunks.encode_into(b"three;four", &mut out).is_err());
    /// assert_eq!(out, b"one;two;");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    fn encode_into(&self, message: &[u8], out: &mut Vec<u8>) -> Result;

    /// The message with what marks its end.
    ///
    /// # Errors
    ///
    /// As [`encode_into`](Framing::encode_into).
    ///
    /// ```
    /// use stackio::framing::{Chunks, Framing};
    /// assert_eq!(Chunks::new(b"--")?.encode(b"one")?, b"one--");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    fn encode(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.encode_into(message, &mut out)?;
        Ok(out)
    }
}
