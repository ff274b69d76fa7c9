#ifndef MIDWATCH_CLI_PROBE_H_
#define MIDWATCH_CLI_PROBE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "cli/finding.h"
#include "cli/interrupts.h"
#include "node/worker_node.h"

namespace midwatch::cli {

// The most that a probe may spend: the budget of its one session that runs.
inline constexpr int64_t kProbeUsdMicrosMax = 100'000;

struct ProbeReport {
  Findings findings;
  // As the service reports it, which rounds to cents.
  int64_t cost_usd_micros = 0;
};

struct ProbeOptions {
  std::string model;  // the agent's
  // Uses up the account's requests, for a minute or so, to see whether events
  // share the limit of creates.
  bool limits = false;
  // Holds the stream of an idle session open for so long, at most. Zero: not.
  absl::Duration stream_age;
};

// Settles with a few sessions at the service what its documents leave open and
// what the start protocol rests on (ARCHITECTURE.md): that an idle session
// costs nothing, that an archived one takes no events, that a running one
// refuses to be archived; how late lists are, what the write limit is shared
// with and how long a stream lives. Each is told as "not settled" where this
// cannot show it. Archives what it made. Blocks, for a minute or two and for
// what `options` ask for beside that. An interrupt, where `interrupts` are
// given, ends the holding of the stream, and the next one the process.
ProbeReport ProbeService(const AccountOptions& account,
                         const ProbeOptions& options, Interrupts* interrupts);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PROBE_H_
