#include "pixeldp/log_parts.hpp"

#include <algorithm>
#include <regex>

#include "engine/error.hpp"
#include "engine/io/file.hpp"

namespace pixeldp {

namespace fs = std::filesystem;

void make_room(AppendFile& file, const fs::path& path, std::string_view what,
               const std::function<std::size_t(std::string_view text)>& images) {
  if (file.size() == 0) return;
  bool is_free = false;
  try {
    // Without a lock, somebody may be at the first image.
    is_free = file.locked() && images(as_text(read_file(path))) == 0;
  } catch (const Error&) {
    // Whatever it is, it stays.
  }
  if (!is_free)
    fail("{}: there is {} already; continue it with --resume, or move it away", path.string(),
         what);
  file.truncate(0);
}

void check_cut_header(std::string_view text, std::string_view header, const fs::path& path,
                      std::string_view what) {
  const std::string_view key = header.substr(0, header.find(':') + 1);
  if (!key.starts_with(text.substr(0, key.size())))
    fail("{}: this is not {}: choose another name, or move it away", path.string(), what);
}

fs::path part_path(const fs::path& log, int number) {
  fs::path part = log;
  part += fmt::format(".part-{}", number);
  return part;
}

std::vector<fs::path> find_parts(const fs::path& log) {
  static const std::regex of_part("(\\.part-[0-9]+)+");
  const std::string name = log.filename().string();
  std::vector<fs::path> parts;
  std::error_code none;
  const fs::path folder = log.has_parent_path() ? log.parent_path() : ".";
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    const std::string other = entry.path().filename().string();
    if (other.starts_with(name) && std::regex_match(other.substr(name.size()), of_part))
      parts.push_back(log.parent_path() / other);
  }
  std::ranges::sort(parts);
  return parts;
}

void collect_parts(const fs::path& path,
                   const std::function<void(std::span<const fs::path> parts)>& merge) {
  const std::vector<fs::path> paths = find_parts(path);
  if (paths.empty()) return;
  std::vector<AppendFile> locks;
  std::vector<fs::path> parts;
  for (const fs::path& part : paths) {
    locks.emplace_back(part);
    // One that was killed before its first line was there says nothing.
    const Bytes bytes = read_file(part);
    if (as_text(bytes).find('\n') != std::string_view::npos) parts.push_back(part);
  }
  merge(parts);
  for (const fs::path& part : paths) fs::remove(part);
}

void collect_parts(CertificateLogWriter& log, const fs::path& path) {
  collect_parts(path, [&](std::span<const fs::path> paths) {
    std::vector<LogPart> parts;
    for (const fs::path& part : paths) parts.push_back({part.string(), read_certificate_log(part)});
    log.merge(std::move(parts));
  });
}

std::vector<std::int64_t> ends_of_claims(std::int64_t count, int ranks) {
  std::vector<std::int64_t> ends;
  const std::int64_t shares = ranks == 1 ? 1 : std::int64_t{2} * ranks;
  for (std::int64_t end = 0; end < count;) {
    end += (count - end + shares - 1) / shares;
    ends.push_back(end);
  }
  return ends;
}

}  // namespace pixeldp
