//! The product as its users meet it: the real binary, MCP clients that others wrote, and GitHub's stand-in.
#![cfg(test)]

mod asking;
mod audit;
mod browser;
mod cli;
mod clients;
mod connect;
mod doors;
mod github;
mod keys;
mod oauth;
mod pages;
mod postgres;
mod process;
mod product;
mod provider;
mod readme;
mod refusals;
mod registrar;
mod secrets;
mod standin;
mod tampering;
mod wire;
