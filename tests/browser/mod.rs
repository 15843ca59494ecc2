//! The browser suite: a real Chromium, a shop, and a world of trackers that answers for the hosts of real vendors.
//!
//! [`mechanism`] reads from `pages/` how a page can reach a tracker, [`shop`] serves that as pages, alone and together,
//! [`visit`] opens them and says what has come of it.

mod alone;
mod banners;
mod bridge;
mod guard;
mod mechanism;
mod policies;
mod shop;
mod together;
mod vendors;
mod visit;
