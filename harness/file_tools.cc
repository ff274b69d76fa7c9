#include "harness/file_tools.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

// Perl, since it is on every Debian and works on bytes. The strings come on
// standard input, which has no bound as arguments have.
constexpr char kEditScript[] = R"perl(
use strict;
use Cwd 'realpath';
my ($path, $all, $max) = @ARGV;
sub fail { print "edit: @_"; exit 1 }

$/ = "\0";
chomp(my $old = <STDIN>);
chomp(my $new = <STDIN>);
my $file = realpath($path);
fail("$path: No such file or directory") unless defined $file && -e $file;
fail("$path is not a regular file") unless -f _;
my $size = -s _;
fail("$path has $size bytes; at most $max can be edited") if $size > $max;
my $mode = (stat _)[2] & 07777;
open(my $in, '<:raw', $file) or fail("$path: $!");
my $data = do { local $/; <$in> } // '';

my ($count, $at) = (0, 0);
while (($at = index($data, $old, $at)) >= 0) { $count++; $at += length $old }
fail("old_string not found in $path") unless $count;
fail("old_string appears $count times in $path (must be unique, or set"
     . " replace_all)") if $count > 1 && !$all;
$data =~ s/\Q$old\E/$new/g;

my $next = "$file.$$.edit";
open(my $out, '>:raw', $next) or fail("$path: $!");
unless (print($out $data) && close($out) && chmod($mode, $next)
        && rename($next, $file)) {
  my $why = $!;
  unlink $next;
  fail("$path: $why");
}
print "edited $path ($count replacement(s))";
)perl";

}  // namespace

absl::StatusOr<ToolPlan> PlanRead(const Json& input) {
  ToolPlan plan;
  ASSIGN_OR_RETURN(std::string path, FilledInput(input, "file_path"));
  std::string select = "cat";
  if (const Json* range = Member(input, "view_range")) {
    if (!range->is_array() || range->size() != 2 ||
        !(*range)[0].is_number_integer() || !(*range)[1].is_number_integer() ||
        (*range)[0].get<int64_t>() < 1) {
      return absl::InvalidArgumentError(
          "view_range: must be [first line from 1, last line]; 0 or less as "
          "the last line means the end");
    }
    int64_t last = (*range)[1].get<int64_t>();
    select = absl::StrCat("sed -n '", (*range)[0].get<int64_t>(), ",",
                          last <= 0 ? "$" : absl::StrCat(last), "p'");
  }
  // One byte more than allowed, so that a file that is too large shows.
  plan.command.text = absl::StrCat("( exec < ", ShellQuoted(path), " || exit; ",
                                   select, " | head -c ", kReadBytesMax + 1,
                                   "; exit \"${PIPESTATUS[0]}\" )");
  plan.command.output_bytes_max = kReadBytesMax + 1;
  return plan;
}

absl::StatusOr<ToolPlan> PlanWrite(const Json& input) {
  ToolPlan plan;
  ASSIGN_OR_RETURN(std::string path, FilledInput(input, "file_path"));
  ASSIGN_OR_RETURN(std::string content, TextInput(input, "content"));
  plan.command.text =
      absl::StrCat("( f=", ShellQuoted(path),
                   "; mkdir -p -- \"$(dirname -- \"$f\")\" && printf %s ",
                   ShellQuoted(content), " > \"$f\" )");
  return plan;
}

absl::StatusOr<ToolPlan> PlanEdit(const Json& input) {
  ToolPlan plan;
  ASSIGN_OR_RETURN(std::string path, FilledInput(input, "file_path"));
  ASSIGN_OR_RETURN(std::string old_text, FilledInput(input, "old_string"));
  ASSIGN_OR_RETURN(std::string new_text, TextInput(input, "new_string"));
  if (old_text == new_text) {
    return absl::InvalidArgumentError(
        "new_string: must differ from old_string");
  }
  bool all = false;
  if (const Json* value = Member(input, "replace_all")) {
    if (!value->is_boolean()) {
      return absl::InvalidArgumentError("replace_all: must be true or false");
    }
    all = value->get<bool>();
  }
  plan.command.text = absl::StrCat(
      "printf '%s\\0%s\\0' ", ShellQuoted(old_text), " ", ShellQuoted(new_text),
      " | perl -e ", ShellQuoted(kEditScript), " -- ", ShellQuoted(path), " ",
      all ? 1 : 0, " ", kEditBytesMax);
  return plan;
}

}  // namespace midwatch::harness
