// Tasks and batches as people and as programs read them.
#ifndef MIDWATCH_CLI_VIEWS_H_
#define MIDWATCH_CLI_VIEWS_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/commands.h"
#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/task_service.pb.h"

namespace midwatch::cli {

using Json = nlohmann::ordered_json;

// "succeeded", "queued"; "open", "done"; "service", "spend cap".
std::string NameOf(v1::TaskState state);
std::string NameOf(v1::BatchState state);
std::string NameOf(v1::FailureClass failure_class);
// "open", "paused", "refused", "at its spend cap".
std::string NameOf(v1::AccountState state);
// TASK_STATE_UNSPECIFIED where there is none of that name.
v1::TaskState TaskStateNamed(const std::string& name);
// BATCH_STATE_UNSPECIFIED likewise.
v1::BatchState BatchStateNamed(const std::string& name);

bool IsFinal(v1::TaskState state);

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);
absl::Duration ToDuration(const google::protobuf::Duration& duration);

// "0.4 s", "12 s", "1 m 05 s", "2 h 03 m".
std::string FormatSpan(absl::Duration duration);
// Local time to the second; "-" where unset.
std::string FormatInstant(const google::protobuf::Timestamp& timestamp);

// A day (its midnight here) or a time, of the option named so.
//   kInvalidArgument  neither
absl::Status ReadInstant(const std::string& option, const std::string& text,
                         google::protobuf::Timestamp& out);

// A task in one line: the first line of what the agent said last, or why there
// is nothing. Without control characters.
std::string ResultLine(const v1::Task& task);

// "1 task", "24 tasks".
std::string CountOf(int64_t count, absl::string_view what);

// How many tasks in all, and how many of them are final.
int64_t TotalOf(const v1::TaskCounts& counts);
int64_t FinalOf(const v1::TaskCounts& counts);

// How well forecasts held, of those there were: "cost 92 % within p90, time ...
// (40 tasks)".
std::string CalibrationWords(const v1::Calibration& held);

Json InstantToJson(const google::protobuf::Timestamp& timestamp);

// One line of `midwatch export`, and what `task get --output json` prints.
Json ToJson(const v1::Task& task);
Json ToJson(const v1::Batch& batch);
Json ToJson(const v1::Account& account);
std::string NameOf(v1::RequestClass request_class);
Json ToJson(const v1::ExplainTaskResponse& why);
// On one line; bytes that are not UTF-8 are replaced.
std::string ToLine(const Json& json);

// An event as the service sent it, on one line whatever white space that has.
std::string EventLine(const std::string& json);

// Whether it is open; else why not, until when, and what to do, in one line.
std::string AccountLine(const GlobalOptions& global,
                        const v1::Account& account);
// Of each class that is limited, how much was used lately, in one line:
// "create 212/300, read 480/1200".
std::string RatesLine(const v1::Account& account);
// One row for each class; empty where nothing is known.
std::string RateTable(const v1::Account& account, int width);

std::string BatchTable(const std::vector<v1::Batch>& batches, int width);
std::string TaskTable(const std::vector<v1::Task>& tasks, int width);
// All that is known of one, a line each.
std::string BatchDetails(const GlobalOptions& global, const v1::Batch& batch);
std::string TaskDetails(const v1::Task& task, int width);
// Why it waits, and about when it starts: a line each.
std::string WhyText(const v1::ExplainTaskResponse& why);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_VIEWS_H_
