#include "harness/search_tools.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

// $1 is the path, $2 the expression, $3 how many files at most.
constexpr char kGlobScript[] = R"bash(
root=$(realpath -e -- "$1" 2>/dev/null) && [ -d "$root" ] || {
  printf 'glob: %s is no directory' "$1"; exit 1; }
export LC_ALL=C.UTF-8
cd -- "$root" || exit 1
find . -regextype posix-extended \
    -type d \( -name .git -o -name node_modules \) -prune -o \
    -type f -regex "\\./($2)" -printf '%T@\t%P\0' 2>/dev/null |
  sort -zrn | perl -0e '
    my ($root, $max) = @ARGV;
    my $count = 0;
    while (<STDIN>) {
      chomp;
      s/^\S+\t//;
      if (++$count > $max) { print "[only the newest $max are shown]\n"; last }
      print "$root/$_\n";
    }
    print "no matches" unless $count;' -- "${root%/}" "$3"
)bash";

// $1 is the path, $2 the expression, $3 and $4 how many bytes at most in all
// and in a line.
//
// The first grep finds the text files, byte by byte; the second one reads text
// as UTF-8 where it is (-a: also where it is not). What it says itself begins
// with "grep: ", what it finds with a slash.
constexpr char kGrepScript[] = R"bash(
root=$(realpath -e -- "$1" 2>/dev/null) || {
  printf 'grep: %s: No such file or directory' "$1"; exit 1; }
export LC_ALL=C.UTF-8
said=$(grep -P -e "$2" </dev/null 2>&1)
[ $? -lt 2 ] || { printf 'invalid pattern: %s' "${said#grep: }"; exit 1; }
LC_ALL=C grep -rIlZs -D skip --exclude-dir=.git --exclude-dir=node_modules \
    -e '' -- "$root" | sort -z | xargs -0r grep -aHnsP -e "$2" -- 2>&1 |
  perl -e '
    my ($max, $line_max) = @ARGV;
    my ($bytes, $long, $failed) = (0, 0, 0);
    while (<STDIN>) {
      if (/^grep: /) { $failed = 1; print; next }
      if (length > $line_max) { $long++; next }
      if (($bytes += length) > $max) {
        print "[output truncated at $max bytes]\n";
        last;
      }
      print;
    }
    print "[matches in $long lines of more than $line_max bytes]\n" if $long;
    print "no matches" unless $bytes || $long || $failed;
    exit $failed;' -- "$3" "$4"
)bash";

// `script` with its arguments, in a bash of its own: nothing that the session's
// shell has set or defined gets in its way.
std::string Script(const char* script, const std::vector<std::string>& words) {
  std::string text =
      absl::StrCat("bash --noprofile --norc -c ", ShellQuoted(script), " bash");
  for (const std::string& word : words) {
    absl::StrAppend(&text, " ", ShellQuoted(word));
  }
  return text;
}

absl::StatusOr<std::string> PatternInput(const Json& input) {
  ASSIGN_OR_RETURN(std::string pattern, FilledInput(input, "pattern"));
  if (pattern.size() > kPatternBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "pattern: must not be longer than ", kPatternBytesMax, " bytes"));
  }
  return pattern;
}

absl::Status BadPattern(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("pattern: ", why));
}

// Reads a glob from left to right.
class GlobReader {
 public:
  explicit GlobReader(absl::string_view glob) : rest_(glob) {}

  absl::StatusOr<std::string> Read() {
    while (!rest_.empty()) RETURN_IF_ERROR(ReadNext());
    if (open_braces_ > 0) return BadPattern("{ without its }");
    return regex_;
  }

 private:
  absl::Status ReadNext() {
    const char c = rest_.front();
    if (absl::StartsWith(rest_, "**") && at_start_ && EndsAt(2)) {
      rest_.remove_prefix(2);
      regex_ += absl::ConsumePrefix(&rest_, "/") ? "(.*/)?" : ".*";
      return absl::OkStatus();
    }
    if (c == '[') return ReadClass();
    rest_.remove_prefix(1);
    at_start_ = c == '/' || c == '{' || (c == ',' && open_braces_ > 0);
    if (c == '*') {
      regex_ += "[^/]*";
    } else if (c == '?') {
      regex_ += "[^/]";
    } else if (c == '{') {
      ++open_braces_;
      regex_ += "(";
    } else if (c == '}' && open_braces_ > 0) {
      --open_braces_;
      regex_ += ")";
    } else if (c == ',' && open_braces_ > 0) {
      regex_ += "|";
    } else if (c == '\\') {
      if (rest_.empty()) return BadPattern("ends with a single \\");
      AddLiteral(rest_.front());
      rest_.remove_prefix(1);
    } else {
      AddLiteral(c);
    }
    return absl::OkStatus();
  }

  // Whether the component of the path ends after `length` characters.
  bool EndsAt(size_t length) const {
    if (rest_.size() == length || rest_[length] == '/') return true;
    return open_braces_ > 0 && (rest_[length] == ',' || rest_[length] == '}');
  }

  absl::Status ReadClass() {
    size_t begin = 1;
    const bool negated =
        rest_.size() > 1 && (rest_[1] == '!' || rest_[1] == '^');
    if (negated) ++begin;
    // A ] that comes first is one of the characters.
    size_t end = rest_.find(']', begin + 1);
    if (end == absl::string_view::npos) return BadPattern("[ without its ]");
    absl::string_view members = rest_.substr(begin, end - begin);
    if (members.find_first_of("[\\/") != absl::string_view::npos) {
      return BadPattern("none of [ \\ / can stand between [ and ]");
    }
    absl::StrAppend(&regex_, negated ? "[^" : "[", members,
                    negated ? "/]" : "]");
    rest_.remove_prefix(end + 1);
    at_start_ = false;
    return absl::OkStatus();
  }

  void AddLiteral(char c) {
    if (absl::string_view(".[]()*+?{}|^$\\").find(c) !=
        absl::string_view::npos) {
      regex_ += '\\';
    }
    regex_ += c;
  }

  absl::string_view rest_;
  std::string regex_;
  bool at_start_ = true;  // of a component of the path
  int open_braces_ = 0;
};

}  // namespace

absl::StatusOr<std::string> GlobToRegex(const std::string& glob) {
  absl::string_view rest = glob;
  if (absl::StartsWith(rest, "/")) {
    return BadPattern(
        "must be relative; name the directory to search as `path`");
  }
  for (absl::string_view part : absl::StrSplit(rest, absl::ByAnyChar("/{},"))) {
    if (part == "..") return BadPattern("must not lead upwards with ..");
  }
  while (absl::ConsumePrefix(&rest, "./")) {
  }
  return GlobReader(rest).Read();
}

absl::StatusOr<ToolPlan> PlanGlob(const Json& input) {
  ASSIGN_OR_RETURN(std::string pattern, PatternInput(input));
  ASSIGN_OR_RETURN(std::string regex, GlobToRegex(pattern));
  ASSIGN_OR_RETURN(std::string path, TextInputOr(input, "path", "."));
  ToolPlan plan;
  plan.command.text =
      Script(kGlobScript, {path, regex, absl::StrCat(kGlobFilesMax)});
  // Paths may be long, but not all of them.
  plan.command.output_bytes_max = 1 << 20;
  return plan;
}

absl::StatusOr<ToolPlan> PlanGrep(const Json& input) {
  ASSIGN_OR_RETURN(std::string pattern, PatternInput(input));
  ASSIGN_OR_RETURN(std::string path, TextInputOr(input, "path", "."));
  ToolPlan plan;
  plan.command.text =
      Script(kGrepScript, {path, pattern, absl::StrCat(kGrepBytesMax),
                           absl::StrCat(kGrepLineBytesMax)});
  plan.command.output_bytes_max = 2 * kGrepBytesMax;
  return plan;
}

}  // namespace midwatch::harness
