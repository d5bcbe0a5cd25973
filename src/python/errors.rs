//! Which Python exception an error is. The classes are in `lakeflow_redis/exceptions.py`.

use pyo3::import_exception;
use pyo3::prelude::*;

use crate::error::Error;

import_exception!(lakeflow_redis.exceptions, LakeflowRedisError);
import_exception!(lakeflow_redis.exceptions, ConfigurationError);
import_exception!(lakeflow_redis.exceptions, RedisConnectionError);
import_exception!(lakeflow_redis.exceptions, RedisTimeoutError);
import_exception!(lakeflow_redis.exceptions, TlsError);
import_exception!(lakeflow_redis.exceptions, TopologyChangedError);
import_exception!(lakeflow_redis.exceptions, AuthenticationError);
import_exception!(lakeflow_redis.exceptions, PermissionDeniedError);
import_exception!(lakeflow_redis.exceptions, ServerError);
import_exception!(lakeflow_redis.exceptions, ProtocolError);
import_exception!(lakeflow_redis.exceptions, DecodeError);
import_exception!(lakeflow_redis.exceptions, DataLossError);
import_exception!(lakeflow_redis.exceptions, ConsumedError);
import_exception!(lakeflow_redis.exceptions, LakeflowRedisWarning);

pub fn to_python(error: &Error) -> PyErr {
    let text = error.to_string();
    match error.root() {
        Error::Configuration { options, .. } => {
            ConfigurationError::new_err((text, options.clone()))
        }
        Error::Unreachable(_) | Error::Lost(_) => RedisConnectionError::new_err(text),
        Error::Timeout { .. } => RedisTimeoutError::new_err(text),
        Error::Tls(_) | Error::TlsUnanswered(_) => TlsError::new_err(text),
        Error::TopologyChanged(_) | Error::Redirected { .. } => TopologyChangedError::new_err(text),
        Error::Authentication(_) => AuthenticationError::new_err(text),
        Error::PermissionDenied { .. } => PermissionDeniedError::new_err(text),
        Error::Refused { .. } => ServerError::new_err(text),
        Error::Protocol(_) => ProtocolError::new_err(text),
        Error::InvalidUtf8(_) => DecodeError::new_err(text),
        Error::DataLoss(_) => DataLossError::new_err(text),
        Error::Interrupted
        | Error::Forked
        | Error::ReaderGone
        | Error::NoThread(_)
        | Error::Arrow(_)
        | Error::At { .. }
        | Error::GivenUp { .. } => LakeflowRedisError::new_err(text),
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        to_python(&error)
    }
}
