//! TLS: rustls with ring, against Mozilla's roots, the same on every system, and against authorities of one's own.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::ConnectError;

/// What a client trusts: Mozilla's roots, and the certificates in these PEM texts.
pub(crate) fn config(authorities: &[Vec<u8>]) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for pem in authorities {
        let num_before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
        }
        if roots.len() == num_before {
            return Err(invalid("no certificate in it"));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Client(Box::new(error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn invalid(reason: impl ToString) -> ConnectError {
    ConnectError::InvalidAuthority { reason: reason.to_string() }
}
