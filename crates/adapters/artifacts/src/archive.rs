//! Packed artifacts: what they are, and the way in and out.

pub(crate) mod pack;
pub(crate) mod tar;
pub(crate) mod zip;

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// Bytes looked at to tell what an object is.
pub(crate) const HEAD_BYTES: u64 = 64 * 1024;

/// Whether something that begins with `head` is a gzip-compressed tar. An artifact is packed this
/// way unless the document says otherwise, and Argo, too, takes what is not for what it is.
pub(crate) fn is_tar_gz(head: &[u8]) -> bool {
    let mut block = [0; tar::BLOCK];
    head.starts_with(&[0x1f, 0x8b])
        && MultiGzDecoder::new(head).read_exact(&mut block).is_ok()
        && tar::is_header(&block)
}
