//! The places of artifacts, as they are configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use flowforge_artifacts::{Bucket, Keys, Repository, Setup, Stores};
use flowforge_http::Client;
use flowforge_process::DirectorySecrets;

use crate::config::Settings;
use crate::data_dir::DataDir;

/// Opens the repository of the project and all that documents may name.
pub(crate) fn open(settings: &Settings, data: &DataDir) -> anyhow::Result<Stores> {
    Stores::open(Setup {
        repository: repository(settings, data)?,
        scratch: data.scratch(),
        client: Client::new(settings.http_allow.clone()),
        secrets: secrets(settings, data),
    })
    .context("cannot open the artifacts")
}

/// Where secrets are read from.
pub(crate) fn secrets(settings: &Settings, data: &DataDir) -> Arc<DirectorySecrets> {
    let folder = match settings.secrets_dir.as_str() {
        "" => data.secrets(),
        path => PathBuf::from(path),
    };
    Arc::new(DirectorySecrets::new(folder))
}

fn repository(settings: &Settings, data: &DataDir) -> anyhow::Result<Repository> {
    let wanted = &settings.artifacts;
    if !wanted.in_bucket {
        let directory = match wanted.directory.as_str() {
            "" => data.artifacts(),
            path => PathBuf::from(path),
        };
        return Ok(Repository::Directory(directory));
    }
    if wanted.endpoint.is_empty() || wanted.bucket.is_empty() {
        bail!("artifacts.repository is s3: set artifacts.endpoint and artifacts.bucket as well");
    }
    let keys = match (wanted.access_key_file.as_str(), wanted.secret_key_file.as_str()) {
        ("", "") => None,
        ("", _) | (_, "") => bail!(
            "of artifacts.access_key_file and artifacts.secret_key_file only one is set: set both, \
             or none for a bucket that anybody may use"
        ),
        (access, secret) => Some(Keys { access: read(access)?, secret: read(secret)? }),
    };
    Ok(Repository::Bucket(Bucket {
        endpoint: wanted.endpoint.clone(),
        bucket: wanted.bucket.clone(),
        region: Some(wanted.region.clone()).filter(|region| !region.is_empty()),
        insecure: wanted.insecure,
        keys,
    }))
}

fn read(path: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(Path::new(path))
        .with_context(|| format!("cannot read the key in {path}"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut Settings)) -> Result<Repository, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        change(&mut settings);
        let data = DataDir::open(folder.path()).unwrap();
        repository(&settings, &data).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bucket_needs_a_place_and_both_keys_or_none() {
        assert!(
            matches!(of(|_| ()), Ok(Repository::Directory(path)) if path.ends_with("artifacts"))
        );
        let elsewhere = of(|settings| settings.artifacts.directory = "/elsewhere".to_owned());
        assert!(
            matches!(elsewhere, Ok(Repository::Directory(path)) if path.ends_with("elsewhere"))
        );
        let nowhere = of(|settings| settings.artifacts.in_bucket = true).unwrap_err();
        assert!(nowhere.contains("set artifacts.endpoint and artifacts.bucket"), "{nowhere}");
        let keys = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(keys.path(), "key\n").unwrap();
        let path = keys.path().to_str().unwrap();
        let bucket = |access: &str, secret: &str| {
            of(|settings| {
                let artifacts = &mut settings.artifacts;
                artifacts.in_bucket = true;
                artifacts.endpoint = "s3.local:9000".to_owned();
                artifacts.bucket = "stuff".to_owned();
                artifacts.access_key_file = access.to_owned();
                artifacts.secret_key_file = secret.to_owned();
            })
        };
        let half = bucket(path, "").unwrap_err();
        assert!(half.contains("only one is set"), "{half}");
        assert!(bucket("/no/such", path).unwrap_err().contains("cannot read the key in /no/such"));
        let Ok(Repository::Bucket(open)) = bucket("", "") else { panic!() };
        assert_eq!((open.keys, open.region), (None, None));
        let Ok(Repository::Bucket(closed)) = bucket(path, path) else { panic!() };
        assert_eq!(closed.keys.unwrap().secret, "key");
    }
}
