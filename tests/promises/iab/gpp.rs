//! GPP
