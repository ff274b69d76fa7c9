#ifndef MIDWATCH_WORKER_JUDGE_H_
#define MIDWATCH_WORKER_JUDGE_H_

#include <optional>
#include <string>

#include "midwatch/v1/worker_service.pb.h"
#include "worker/transcript.h"

namespace midwatch {

// How an attempt ends: facts for the scheduler, who judges them.
struct Verdict {
  v1::Ending::Kind kind = v1::Ending::KIND_UNSPECIFIED;
  std::string stop_reason;             // of KIND_IDLE
  std::optional<v1::Failure> failure;  // what went wrong last
};

// Whether the session is done with what was said to it, and how; nothing while
// it goes on. Pure: history and stream are judged by the same lines.
std::optional<Verdict> Judge(const TranscriptState& state);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_JUDGE_H_
