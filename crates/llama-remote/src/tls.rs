//! TLS: rustls with ring, against Mozilla's roots, the same on every system.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::ConnectError;

/// What a client trusts.
pub(crate) fn config() -> Result<ClientConfig, ConnectError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Client(Box::new(error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
