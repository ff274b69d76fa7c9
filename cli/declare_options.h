// Options that several commands share.
#ifndef MIDWATCH_CLI_DECLARE_OPTIONS_H_
#define MIDWATCH_CLI_DECLARE_OPTIONS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/declare.h"

namespace midwatch::cli {

// Of "name=value" words, the last of a name; see IsPair.
std::map<std::string, std::string> ToMap(
    const std::vector<std::string>& params);
// Of labels, which a task has one value each of: throws where one has two.
std::map<std::string, std::string> ToLabels(
    const std::vector<std::string>& labels);
// A check of an option: empty, or what is wrong.
std::string IsPair(const std::string& text);

void AddLimit(CLI::App& command, int& limit);
void AddBatchFile(CLI::App& command, std::string& file, bool& always_new,
                  bool& dry_run, Invocation& in);
void AddService(CLI::App& command, ServiceOptions& service);
void AddLimits(CLI::App& command, ServiceOptions& service);
void AddModel(CLI::App& command, ModelOptions& model);
void AddPrices(CLI::App& command, std::string& prices);
void AddTools(CLI::App& command, std::string& tools);
// `prefix` is "--" or, where the harness is but a part, "--harness-".
void AddRehearsal(CLI::App& command, const std::string& prefix,
                  RehearsalOptions& rehearsal);
void AddMoved(CLI::App& command, bool& moved);
void AddHooks(CLI::App& command, HookFlags& hooks);
// An option that is a time to come: see ReadWhen. How one is said is the
// command's footer.
void AddTime(CLI::App& command, const char* option, std::string& time,
             const char* says);
void AddTime(CLI::App& command, const char* option,
             std::optional<std::string>& time, const char* says);
CLI::Option* AddMaxRunning(CLI::App& command, ControlOptions& control);
// A cap and a weight.
void AddControls(CLI::App& command, ControlOptions& control);
// `what` is of the kind that `kind` names: "QUEUE".
void AddPause(CLI::App& command, const char* kind, const char* says,
              PauseOptions& pause);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_DECLARE_OPTIONS_H_
