// Queues, tenants, and why nothing of a batch starts, as people and as programs
// read them. Pure.
#ifndef MIDWATCH_CLI_CONTROL_VIEWS_H_
#define MIDWATCH_CLI_CONTROL_VIEWS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/commands.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/queue_service.pb.h"

namespace midwatch::cli {

using Json = nlohmann::ordered_json;

// "batch", "queue", "tenant", "account".
std::string NameOf(v1::CapScope scope);

Json ToJson(const v1::Pause& pause);
Json ToJson(const v1::Queue& queue);
Json ToJson(const v1::Tenant& tenant);
Json ToJson(const v1::ConcurrencyKey& key);

std::string QueueTable(const std::vector<v1::Queue>& queues, int width);
std::string KeyTable(const std::vector<v1::ConcurrencyKey>& keys, int width);
std::string TenantTable(const std::vector<v1::Tenant>& tenants, int width);
// All that is known of one, a line each.
std::string QueueDetails(const GlobalOptions& global, const v1::Queue& queue);
std::string TenantDetails(const v1::Tenant& tenant);

// Whether the batch is paused, why, until when, and what to do, in one line;
// empty where it is not. Then of its queue.
std::string BatchPauseLine(const GlobalOptions& global, const v1::Batch& batch);
std::string QueuePauseLine(const GlobalOptions& global, const v1::Batch& batch);
// Whose cap keeps queued tasks of it from starting; empty where none does.
std::string FullCapLine(const v1::Batch& batch);

// It is paused, or its queue is, until somebody resumes it, and what ran has
// ended: nothing more will happen by itself.
bool StandsPaused(const v1::Batch& batch);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_CONTROL_VIEWS_H_
