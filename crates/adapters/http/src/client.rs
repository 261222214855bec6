//! The client: one request, and the redirects it leads to.

use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::allow::Allow;
use crate::error::{HttpError, told};
use crate::redirect::{self, Next};
use crate::resolve::Guarded;
use crate::tls;

/// To find and reach a server.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two bytes of an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// Redirects of one request.
const REDIRECTS: usize = 10;
/// Bytes of the headers of an answer.
const HEADER_BYTES: usize = 64 * 1024;

/// Sends requests to servers that are allowed.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    allow: Arc<Allow>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET`, `POST`...
    pub method: &'a str,
    /// `http://...` or `https://...`.
    pub url: &'a str,
    /// In order.
    pub headers: &'a [Header],
    /// For everything, redirects and the body of the answer included; without one only silence
    /// ends it: 10 s for a connection, 30 s between two bytes.
    pub timeout: Option<Duration>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Follow redirects, at most 10.
    pub redirects: bool,
}

/// A header of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
    /// Never shown, never sent on to another host.
    pub secret: bool,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value =
            if self.secret { "********".into() } else { String::from_utf8_lossy(&self.value) };
        write!(f, "{}: {value}", self.name)
    }
}

/// What is sent.
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// A text.
    Bytes(&'a [u8]),
    /// So many bytes of a reader. It is not sent again after a redirect.
    Stream(&'a mut dyn Read, u64),
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_, length) => write!(f, "Stream({length})"),
        }
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub struct Answer {
    /// 200...
    pub status: u16,
    headers: HeaderMap,
    body: Body,
    host: String,
    timeout: Option<Duration>,
}

impl Answer {
    /// Names, in lower case, and values, in order; what is not text was replaced.
    pub fn headers(&self) -> impl Iterator<Item = (&str, String)> {
        self.headers.iter().map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
    }

    /// The first header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, as it comes.
    #[must_use]
    pub fn into_reader(self) -> Box<dyn Read> {
        Box::new(self.body.into_with_config().limit(u64::MAX).reader())
    }

    /// The body, if it has at most `most` bytes.
    ///
    /// # Errors
    /// It is larger, or its end did not come.
    pub fn bytes(self, most: usize) -> Result<Vec<u8>, HttpError> {
        let (host, timeout) = (self.host.clone(), self.timeout);
        let mut bytes = Vec::new();
        self.into_reader()
            .take((most as u64).saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| told(ureq::Error::from(error), &host, timeout))?;
        if bytes.len() > most {
            return Err(HttpError::Invalid(format!("the answer has more than {most} bytes")));
        }
        Ok(bytes)
    }
}

impl Client {
    /// Asks whom the list allows.
    #[must_use]
    pub fn new(allow: Allow) -> Self {
        let allow = Arc::new(allow);
        Self { agent: agent(&allow), allow }
    }

    /// One with the same list and connections of its own.
    #[must_use]
    pub fn separate(&self) -> Self {
        Self { agent: agent(&self.allow), allow: Arc::clone(&self.allow) }
    }

    /// Ends all connections now and makes no more.
    pub fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn send(&self, call: &Call<'_>, mut payload: Payload<'_>) -> Result<Answer, HttpError> {
        let begun = Instant::now();
        let mut url = uri(call.url)?;
        let mut method = call.method.to_owned();
        let mut headers = header_map(call.headers, true)?;
        let mut left = REDIRECTS;
        loop {
            let answer = self.once(call, (&method, &url), (&headers, begun), &mut payload)?;
            let location = answer.header("location");
            let location = location.filter(|_| call.redirects && redirect::sends_on(answer.status));
            let Some(location) = location else {
                return Ok(answer);
            };
            if left == 0 {
                return Err(HttpError::Invalid(format!("more than {REDIRECTS} redirects")));
            }
            let next = redirect::next(&url, &method, answer.status, location);
            let Some(Next { url: to, method: then, body, same_origin }) = next else {
                let what = format!("redirected to {location:?}, which is no URL that can be asked");
                return Err(HttpError::Invalid(what));
            };
            if body && matches!(payload, Payload::Stream(..)) {
                return Ok(answer);
            }
            checked(&to)?;
            if !body {
                payload = Payload::None;
                headers.remove("content-type");
            }
            if !same_origin {
                headers = header_map(call.headers, false)?;
            }
            (url, method) = (to, then);
            left -= 1;
        }
    }

    fn once(
        &self,
        call: &Call<'_>,
        (method, url): (&str, &Uri),
        (headers, begun): (&HeaderMap, Instant),
        payload: &mut Payload<'_>,
    ) -> Result<Answer, HttpError> {
        let host = url.host().unwrap_or_default().to_owned();
        let left = match call.timeout.map(|timeout| timeout.checked_sub(begun.elapsed())) {
            Some(Some(left)) => Some(left),
            Some(None) => return Err(HttpError::TimedOut(call.timeout.unwrap_or_default())),
            None => None,
        };
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| HttpError::Invalid(format!("{method:?} is no method")))?;
        let mut head = Request::new(());
        *head.method_mut() = method;
        *head.uri_mut() = url.clone();
        *head.headers_mut() = headers.clone();
        let sent = match payload {
            Payload::None => self.exchange(call, left, head),
            Payload::Bytes(bytes) => {
                // Read from its start each time.
                let mut text: &[u8] = bytes;
                let length = bytes.len() as u64;
                self.exchange(call, left, with_body(head, &mut text, length))
            }
            Payload::Stream(reader, length) => {
                self.exchange(call, left, with_body(head, reader, *length))
            }
        };
        let (head, body) = sent.map_err(|error| told(error, &host, call.timeout))?.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            host,
            timeout: call.timeout,
        })
    }

    fn exchange<S: AsSendBody>(
        &self,
        call: &Call<'_>,
        left: Option<Duration>,
        request: Request<S>,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(request).timeout_global(left);
        let request = tls::configure(request, call.insecure).build();
        self.agent.run(request)
    }
}

fn with_body<'a>(
    head: Request<()>,
    reader: &'a mut dyn Read,
    length: u64,
) -> Request<SendBody<'a>> {
    let mut request = head.map(|()| SendBody::from_reader(reader));
    request.headers_mut().insert("content-length", HeaderValue::from(length));
    request
}

fn agent(allow: &Arc<Allow>) -> Agent {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("flowforge/", env!("CARGO_PKG_VERSION")))
        .allow_non_standard_methods(true)
        .max_response_header_size(HEADER_BYTES)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .build();
    let resolver = Guarded { allow: Arc::clone(allow), inner: DefaultResolver::default() };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

fn uri(text: &str) -> Result<Uri, HttpError> {
    let uri: Uri = text.parse().map_err(|error| {
        HttpError::Invalid(format!(
            "{text:?} is no URL ({error}): write blanks and the like percent-encoded"
        ))
    })?;
    checked(&uri)?;
    Ok(uri)
}

/// Whether it can be asked at all.
fn checked(uri: &Uri) -> Result<(), HttpError> {
    let refuse = |why: &str| Err(HttpError::Invalid(why.to_owned()));
    match uri.scheme_str() {
        Some("https") if !tls::KNOWN => {
            return refuse("this build has no TLS: build it with the feature tls, or use http");
        }
        Some("http" | "https") => {}
        _ => return refuse("a URL begins with http:// or https://"),
    }
    let Some(authority) = uri.authority() else {
        return refuse("the URL names no host");
    };
    if authority.as_str().contains('@') {
        return refuse("the URL holds a user name or a password: put them into a header");
    }
    let host = authority.host();
    if host.starts_with('[') && host.trim_matches(['[', ']']).parse::<IpAddr>().is_err() {
        return refuse("the URL names no host");
    }
    Ok(())
}

/// Headers that say how a message is framed are not for others to say.
const OURS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "upgrade"];
/// Headers that are secret wherever their value comes from.
const PERSONAL: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// The headers as they are sent; those that are not for other hosts only if `all`.
fn header_map(headers: &[Header], all: bool) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::new();
    for header in headers {
        let wrong = |what: &str| HttpError::Invalid(format!("the header {:?} {what}", header.name));
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let name = name.map_err(|_| wrong("has no valid name"))?;
        if OURS.contains(&name.as_str()) {
            return Err(wrong("is set by the sender itself"));
        }
        if !all && (header.secret || PERSONAL.contains(&name.as_str())) {
            continue;
        }
        let value = HeaderValue::from_bytes(&header.value);
        let mut value = value.map_err(|_| wrong("has a value with control characters"))?;
        value.set_sensitive(header.secret);
        map.append(name, value);
    }
    Ok(map)
}
