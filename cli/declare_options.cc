#include "cli/declare_options.h"

#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

constexpr char kTimes[] =
    "A TIME is one of the clock here, the next one (22:00), or how long from "
    "now (90m, 12h), or a day (2026-12-01: its midnight here), or an instant "
    "(2026-12-01T22:00:00Z).";

}  // namespace

std::map<std::string, std::string> ToMap(
    const std::vector<std::string>& params) {
  std::map<std::string, std::string> map;
  for (const std::string& param : params) {
    const size_t equals = param.find('=');
    map[param.substr(0, equals)] = param.substr(equals + 1);
  }
  return map;
}

std::map<std::string, std::string> ToLabels(
    const std::vector<std::string>& labels) {
  std::map<std::string, std::string> map = ToMap(labels);
  for (const std::string& label : labels) {
    const std::string key = label.substr(0, label.find('='));
    if (label == absl::StrCat(key, "=", map[key])) continue;
    throw CLI::ValidationError("--label",
                               absl::StrCat("'", key,
                                            "' has two values, and no task has "
                                            "both; expected one"));
  }
  return map;
}

std::string IsPair(const std::string& text) {
  return text.find('=') == std::string::npos || text[0] == '='
             ? "expected NAME=VALUE"
             : "";
}

void AddLimit(CLI::App& command, int& limit) {
  command.add_option("--limit", limit, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
}

void AddBatchFile(CLI::App& command, std::string& file, bool& always_new,
                  bool& dry_run, Invocation& in) {
  command
      .add_option("FILE", file,
                  "The batch, in YAML, JSON or, a task a line, JSONL")
      ->required()
      ->type_name("");
  command
      .add_option("--param", in.params,
                  "Replaces a default of the file's params (may be repeated)")
      ->type_name("NAME=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  command.add_flag("--new", always_new,
                   "Start a new batch even where an unfinished one of the "
                   "same name and content could be continued");
  command.add_flag("--dry-run", dry_run,
                   "Read and check the file and its inputs, and tell what it "
                   "is and may cost; do nothing");
}

void AddService(CLI::App& command, ServiceOptions& service) {
  CLI::Option* base_url = command
                              .add_option("--base-url", service.base_url,
                                          "A Managed Agents service, such as "
                                          "https://api.anthropic.com")
                              ->type_name("URL");
  command
      .add_option("--proxy", service.proxy,
                  "HTTP proxy to reach it by; else HTTPS_PROXY and NO_PROXY "
                  "(the better place for a password)")
      ->needs(base_url)
      ->type_name("URL");
  command
      .add_option("--ca-file", service.ca_file,
                  "Certificates to trust, PEM, instead of the system's")
      ->needs(base_url)
      ->type_name("FILE");
  command
      .add_option("--api-key-file", service.api_key_file,
                  "File with its key; else ANTHROPIC_API_KEY")
      ->type_name("FILE");
}

void AddLimits(CLI::App& command, ServiceOptions& service) {
  command
      .add_option("--limits", service.limits,
                  "Requests a minute that the service accepts: documented "
                  "(300 creates, 1200 reads), classic (60, 600), none, or a "
                  "list such as create=120,read=600,burst=5; default: "
                  "documented, and none for a service on this machine")
      ->type_name("LIMITS");
  command
      .add_option("--limit-group", service.limit_group,
                  "Accounts that share these limits name the same group")
      ->type_name("NAME");
}

void AddModel(CLI::App& command, ModelOptions& model) {
  command
      .add_option("--model-url", model.url,
                  "A server of the Messages API, for all models but runbook; "
                  "else ANTHROPIC_BASE_URL, and with a key "
                  "https://api.anthropic.com")
      ->type_name("URL");
  command
      .add_option("--model-key-file", model.key_file,
                  "File with its key; else ANTHROPIC_API_KEY")
      ->type_name("FILE");
  command
      .add_option("--model-proxy", model.proxy,
                  "HTTP proxy to reach it by; else HTTPS_PROXY and NO_PROXY")
      ->type_name("URL");
  command
      .add_option("--model-ca-file", model.ca_file,
                  "Certificates to trust, PEM, instead of the system's")
      ->type_name("FILE");
  command
      .add_option("--model-max-tokens", model.max_tokens,
                  "Of one answer; else 16000")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
}

void AddPrices(CLI::App& command, std::string& prices) {
  command
      .add_option("--prices", prices,
                  "File with prices of models, to add to those of `midwatch "
                  "prices` or to stand in their place")
      ->type_name("FILE");
}

void AddTools(CLI::App& command, std::string& tools) {
  command
      .add_option("--tools", tools,
                  "File with what answers the calls of custom tools (tools), "
                  "else a person does, and the commands that outputs are "
                  "checked with (checks)")
      ->type_name("FILE");
}

void AddRehearsal(CLI::App& command, const std::string& prefix,
                  RehearsalOptions& rehearsal) {
  command
      .add_option(prefix + "limits", rehearsal.limits,
                  "Requests a minute that the harness accepts: documented (300 "
                  "creates, 1200 reads), classic (60, 600), none, or a list "
                  "such as create=120,read=600,burst=5; else none")
      ->type_name("LIMITS");
  command
      .add_option(prefix + "faults", rehearsal.faults,
                  "What it breaks, to rehearse a bad night: a list of 429, "
                  "429-bare, 529, 500, lost, slow, double, overshoot "
                  "(=CHANCE), late-list, cut (=DURATION), such as "
                  "429=0.05,lost=0.02,cut=2m")
      ->type_name("LIST");
  command
      .add_option(prefix + "fault-seed", rehearsal.fault_seed,
                  "Another seed, other faults")
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option(prefix + "spend-cap", rehearsal.spend_cap,
                  "Dollars, after which it starts nothing more")
      ->type_name("DOLLARS");
}

void AddMoved(CLI::App& command, bool& moved) {
  command.add_flag("--moved", moved,
                   "The state directory is a copy, and nothing uses the "
                   "original any more; needed once");
}

void AddHooks(CLI::App& command, HookFlags& hooks) {
  command
      .add_option("--hook-secrets", hooks.secrets,
                  "YAML: secrets: {NAME: whsec_...}, that on_finish, "
                  "on_failure and on_risk are signed with; \"default\" may be "
                  "in MIDWATCH_HOOK_SECRET")
      ->type_name("FILE");
  command.add_flag("--hook-http", hooks.plain_http,
                   "Hooks may go over http to other machines");
}

void AddTime(CLI::App& command, const char* option, std::string& time,
             const char* says) {
  command.footer(kTimes);
  command.add_option(option, time, says)->type_name("TIME");
}

void AddTime(CLI::App& command, const char* option,
             std::optional<std::string>& time, const char* says) {
  command.footer(kTimes);
  command.add_option(option, time, says)->type_name("TIME");
}

CLI::Option* AddMaxRunning(CLI::App& command, ControlOptions& control) {
  return command
      .add_option("--max-running", control.max_running,
                  "At most so many tasks at once; 0: as many as there are")
      ->type_name("N");
}

void AddPause(CLI::App& command, const char* kind, const char* says,
              PauseOptions& pause) {
  command.add_option(kind, pause.what, says)->required()->type_name("");
  command.add_option("--reason", pause.reason, "For who asks")
      ->type_name("TEXT");
  AddTime(command, "--until", pause.until,
          "Resumes by itself then; else when it is resumed");
}

void AddControls(CLI::App& command, ControlOptions& control) {
  AddMaxRunning(command, control);
  command
      .add_option("--weight", control.weight,
                  "Its part beside others that have something to start: one "
                  "of weight 2 spends twice as much as one of 1")
      ->type_name("N");
}

}  // namespace midwatch::cli
