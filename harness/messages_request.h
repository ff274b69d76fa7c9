// A conversation as the body of a request to the Messages API.
#ifndef MIDWATCH_HARNESS_MESSAGES_REQUEST_H_
#define MIDWATCH_HARNESS_MESSAGES_REQUEST_H_

#include <cstdint>

#include "harness/json.h"
#include "harness/model.h"

namespace midwatch::harness {

// Streaming. What is said by the same side in a row is one message. Four marks
// for the prompt's cache, the most that there may be: after the tools, after
// the system prompt, and after the last two messages of the user's side, since
// the last but one is where the request before this one ended.
Json MessagesBody(const ModelRequest& request, int64_t max_tokens);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MESSAGES_REQUEST_H_
