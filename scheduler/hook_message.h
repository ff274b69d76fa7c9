// What a hook says, and how it is signed: as the Standard Webhooks
// (standardwebhooks.com) have it, so that receivers find a library for it.
//
//   webhook-id         the same with every try of one message
//   webhook-timestamp  of the try, in seconds since the epoch
//   webhook-signature  v1,BASE64(HMAC-SHA256(id.timestamp.body))
#ifndef MIDWATCH_SCHEDULER_HOOK_MESSAGE_H_
#define MIDWATCH_SCHEDULER_HOOK_MESSAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch {

// The key that a secret as people pass it on stands for: "whsec_" (which may be
// missing) and 24 to 64 bytes in base64.
//   kInvalidArgument  it is none; the message does not show it
absl::StatusOr<std::string> ParseHookSecret(absl::string_view text);

// The value of webhook-signature.
std::string SignHook(absl::string_view key, absl::string_view message_id,
                     int64_t unix_seconds, absl::string_view body);

// One batch has one message of each event.
std::string HookMessageId(absl::string_view batch_id, v1::HookEvent event);

// {"type": "batch.finished", "batch.task_failed" or "batch.at_risk",
// "timestamp": when it happened, "data": {the batch; with task_failed its
// "task", with at_risk its "risk"}}. Equal news give equal bytes.
std::string HookBody(const v1::HookNews& news);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_HOOK_MESSAGE_H_
