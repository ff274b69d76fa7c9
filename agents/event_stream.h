#ifndef MIDWATCH_AGENTS_EVENT_STREAM_H_
#define MIDWATCH_AGENTS_EVENT_STREAM_H_

#include <memory>

#include "absl/time/time.h"
#include "agents/agents_client.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch {

// The EventStream over an answer with status 200. `executor` outlives it.
std::unique_ptr<EventStream> MakeEventStream(std::unique_ptr<HttpStream> stream,
                                             Executor& executor,
                                             absl::Duration idle_timeout);

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_EVENT_STREAM_H_
