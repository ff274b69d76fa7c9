// Tasks, batches and accounts as programs read them.
#ifndef MIDWATCH_CLI_JSON_VIEWS_H_
#define MIDWATCH_CLI_JSON_VIEWS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "google/protobuf/timestamp.pb.h"
#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/task_service.pb.h"

namespace midwatch::cli {

using Json = nlohmann::ordered_json;

// null where it is unset.
Json InstantToJson(const google::protobuf::Timestamp& timestamp);

// One line of `midwatch export`, and what `task get --output json` prints.
Json ToJson(const v1::Task& task);
Json ToJson(const v1::Batch& batch);
Json ToJson(const v1::Account& account);
Json ToJson(const v1::ExplainTaskResponse& why);
// On one line; bytes that are not UTF-8 are replaced.
std::string ToLine(const Json& json);

// An event as the service sent it, on one line whatever white space that has.
std::string EventLine(const std::string& json);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_JSON_VIEWS_H_
