//! TLS on a stream that there is already.

use super::writer::StreamWriter;
use crate::base_events::get_running_loop;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::tls::Side;

impl StreamWriter {
    /// Goes over to TLS in both directions (`writer.start_tls`), behind what was written
    /// so far. The reader and all writers go on as they are.
    ///
    /// What has come and is not read yet belongs to the handshake. So a peer that sends
    /// in clear what is to be taken for encrypted has a handshake that fails.
    ///
    /// ```
    /// use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsInfo};
    /// use stackio::{spawn, stream_pair};
    ///
    /// # fn main() -> stackio::Result {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let server = ServerConfig::new(Identity::from_pem(&certificate, &key)?)?;
    /// let client = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;
    /// stackio::run(move || {
    ///     let ((reader, writer), (from, to)) = stream_pair()?;
    ///     let serving = spawn(move || {
    ///         assert_eq!(from.readline()?, b"STARTTLS\n");
    ///         to.write(b"go ahead\n");
    ///         to.start_tls(&server)?;
    ///         to.write(&from.readline()?);
    ///         to.drain()
    ///     });
    ///     writer.write(b"STARTTLS\n");
    ///     assert_eq!(reader.readline()?, b"go ahead\n");
    ///     writer.start_tls((&client, "localhost"))?;
    ///     assert!(writer.get_extra_info().get::<TlsInfo>().is_some());
    ///     writer.write(b"secret\n");
    ///     assert_eq!(reader.readline()?, b"secret\n");
    ///     serving.join()
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`drain`](StreamWriter::drain) and of the handshake, after which the
    /// connection is closed; kind `Runtime` if the reader is looking at bytes that it has
    /// not consumed; kind `Cancelled`, which ends the connection.
    #[track_caller]
    pub fn start_tls(&self, side: impl Into<Side>) -> Result {
        self.drain()?;
        let transport = self.transport();
        let protocol = transport.get_protocol().ok_or_else(|| {
            Error::text(ErrorKind::Runtime, "start_tls: the connection has ended")
        })?;
        let incoming = self.incoming();
        if incoming.is_some_and(|incoming| incoming.lent() > 0) {
            let text = "start_tls: bytes that were looked at are not consumed";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let early = || incoming.map_or_else(Vec::new, |incoming| incoming.take(usize::MAX));
        let upper = get_running_loop()?.upgrade(&transport, protocol, &side.into(), early)?;
        self.replace_transport(&upper);
        Ok(())
    }
}
