//! The product as its users meet it: the real binary, MCP clients that others wrote, and GitHub's stand-in.
#![cfg(test)]

mod asking;
mod audit;
mod backup;
mod browser;
mod canary;
mod cli;
mod clients;
mod closed;
mod connect;
mod crashes;
mod discovery;
mod doors;
mod github;
mod gmail;
mod insecure;
mod keys;
mod memory;
mod oauth;
mod pages;
mod places;
mod postgres;
mod process;
mod product;
mod provider;
mod randomness;
mod readme;
mod refusals;
mod registrar;
mod rotation;
mod secrets;
mod standin;
mod tampering;
mod trail;
mod wire;
