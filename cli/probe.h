#ifndef MIDWATCH_CLI_PROBE_H_
#define MIDWATCH_CLI_PROBE_H_

#include <cstdint>
#include <string>

#include "cli/finding.h"
#include "node/worker_node.h"

namespace midwatch::cli {

// The most that a probe may spend: the budget of its one session that runs.
inline constexpr int64_t kProbeUsdMicrosMax = 100'000;

struct ProbeReport {
  Findings findings;
  // As the service reports it, which rounds to cents.
  int64_t cost_usd_micros = 0;
};

// Settles with two sessions at the service what its documents leave open and
// what the start protocol rests on (ARCHITECTURE.md): that an idle session
// costs nothing, that an archived one takes no events, that a running one
// refuses to be archived. Sees on the way how late lists are, what the write
// limit is shared with and how long a stream lives, each told as "not settled"
// where this cannot show it. Archives what it made. Blocks, for a minute or
// two. `model` is the agent's.
ProbeReport ProbeService(const AccountOptions& account,
                         const std::string& model);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PROBE_H_
