//! What Aorta promises, tested on the real programs over sockets: one `mod` for each behaviour, one line each.
//!
//! A test's name is the promise it keeps. Whatever a test does, the harness also fails it when a program panicked,
//! did not end in order, or still had a request in flight.

#[cfg(test)]
mod addresses; // several addresses of one upstream: the next one a moment later
#[cfg(test)]
mod admin; // who may ask the admin port for what, and what no web page can make it do
#[cfg(test)]
mod affinity; // who wrote reads where the write is
#[cfg(test)]
mod alerts; // each fires in its trouble, on no good day, and has its runbook
#[cfg(test)]
mod audit; // one entry for each request, of nobody; a full disk; a chain that shows what was changed
#[cfg(test)]
mod balancing; // each policy by its name: in turn, by weight, by key, by load, by speed, by lot
#[cfg(test)]
mod batches; // a batch is repeated only when each of its entries may be
#[cfg(test)]
mod blame; // what a client does wrong never ejects an upstream
#[cfg(test)]
mod bodies; // replayed up to the limit, streamed beyond it, never spliced
#[cfg(test)]
mod browser; // a real browser reads the record, whichever region fails
#[cfg(test)]
mod check; // a bad file is told by line and remedy, and starts nothing
#[cfg(test)]
mod checks; // the proxy's own checks: who is dead and who is back, asked by nobody
#[cfg(test)]
mod compression; // by what the client takes, never twice, off by default
#[cfg(test)]
mod concurrency; // so many at once, a bounded queue, and who is turned away first
#[cfg(test)]
mod dashboards; // a real Prometheus sees a region lost; no panel is empty
#[cfg(test)]
mod draining; // SIGTERM: what is in flight is finished
#[cfg(test)]
mod drills; // a fault made on purpose, and what outlives the process
#[cfg(test)]
mod ejection; // tried out in a dry run, half open with one probe, back bit by bit
#[cfg(test)]
mod envelope; // Lambda's envelope is judged and unwrapped
#[cfg(test)]
mod explain; // what became of a request, whom it passed over and why, and what keeps an upstream
#[cfg(test)]
mod faults; // each fault of a region: no read lost, no create executed twice
#[cfg(test)]
mod gateway_rules; // what API Gateway does not take is made fit, or answered before it is sent
#[cfg(test)]
mod headers; // hop-by-hop, forwarded-for, request id, Host for each upstream
#[cfg(test)]
mod hedging; // a late region: reads are hedged and leave it, writes stay, nobody pays for a probe
#[cfg(test)]
mod install; // make install: systemd takes the units, an edited configuration stays
#[cfg(test)]
mod kubernetes; // every manifest is used and true to the programs
#[cfg(test)]
mod links; // an upstream's links lead back through the proxy, and nothing else changes
#[cfg(test)]
mod logs; // the level changes while the proxy runs
#[cfg(test)]
mod metrics; // every family stands from the start and moves when it should
#[cfg(test)]
mod orders; // an operator drains, ejects and brings back; who and why is recorded
#[cfg(test)]
mod pace; // one that answers far slower than its siblings is left out
#[cfg(test)]
mod page; // the live page: how the pools stand, for a browser, inert; the commands that give orders
#[cfg(test)]
mod privacy; // no patient data in anything that is told or kept
#[cfg(test)]
mod proxies; // behind a load balancer: who the client is, and who is not believed; a listener's limits are live
#[cfg(test)]
mod quotas; // what one client may ask, of one proxy and of a fleet; a Redis that is gone loses no request
#[cfg(test)]
mod reasons; // each reason for which an upstream is out comes about, is counted and is explained
#[cfg(test)]
mod regions; // three and five regions, and the servers of another cloud
#[cfg(test)]
mod reload; // the file, its certificates and secrets take effect while requests are under way
#[cfg(test)]
mod requests; // malformed requests are refused and reach no upstream
#[cfg(test)]
mod retries; // what is tried again, what never is, and how much of it
#[cfg(test)]
mod routing; // host, path, method, header; most specific first; none is 404
#[cfg(test)]
mod signing; // each attempt for its own region; refused once, signed again
#[cfg(test)]
mod simulate; // a configuration through a scenario: what came of it, a picture, and an exit code
#[cfg(test)]
mod soak; // reloads, certificates, upgrades, restarts, a full disk: no request is lost
#[cfg(test)]
mod systemd; // what systemd is told, from the start to the end
#[cfg(test)]
mod tape; // what a proxy in trouble decided is decided again
#[cfg(test)]
mod thousand; // a thousand upstreams are reloaded under load
#[cfg(test)]
mod timeouts; // attempt and request deadlines, and who is blamed
#[cfg(test)]
mod tls; // a certificate that cannot be trusted gets no request
#[cfg(test)]
mod traces; // continued, replaced, told to a collector
#[cfg(test)]
mod upgrade; // a new process takes over, and no request is lost
#[cfg(test)]
mod whole_house; // two regions with the real function, the proxy, the viewer

#[cfg(test)]
mod world; // two regions and the proxy: what most of the above start from
