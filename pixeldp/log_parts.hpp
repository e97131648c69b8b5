#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "pixeldp/certificate_log.hpp"

namespace pixeldp {

// A certification that several processes share has a log of each, its parts: LOG.part-0,
// LOG.part-1 ..., which end as LOG. A part may have parts in its turn.

/// Empties the file of a log to be begun, if it is `what` (an article and a name) that ended before
/// its first image: nothing is lost with that. `images` counts those of a log, and throws an Error
/// for what is none. Throws an Error where there is anything else.
void make_room(AppendFile& file, const std::filesystem::path& path, std::string_view what,
               const std::function<std::size_t(std::string_view text)>& images);

/// Throws an Error where a text without the end of a line is not the beginning of such a header: it
/// is no log that was killed at its first line, and stays as it is. `what` is as in make_room.
void check_cut_header(std::string_view text, std::string_view header,
                      const std::filesystem::path& path, std::string_view what);

/// The part of a log that shard or rank `number` writes.
std::filesystem::path part_path(const std::filesystem::path& log, int number);

/// The parts of a log that there are, and theirs, in the order of their names.
std::vector<std::filesystem::path> find_parts(const std::filesystem::path& log);

/// Moves what the parts of the log at `path` hold into that log, and removes them. A kill at any
/// moment loses nothing: what stands in both is left out next time. Throws an Error where another
/// process writes to a part, or a part is of another certification (merge_logs); all files are then
/// as they were.
void collect_parts(CertificateLogWriter& log, const std::filesystem::path& path);

/// The same for a log of any kind: `merge` gets the parts that hold a line, which are locked.
void collect_parts(const std::filesystem::path& path,
                   const std::function<void(std::span<const std::filesystem::path> parts)>& merge);

/// How `count` pieces of work are handed to `ranks` ranks, whenever one is free: piece i of the
/// handing-out is [ends[i - 1], ends[i]). Each is a share of what is left, so that claims are few
/// and slow ranks hold nobody up at the end (guided self-scheduling, Polychronopoulos and Kuck
/// 1987).
std::vector<std::int64_t> ends_of_claims(std::int64_t count, int ranks);

}  // namespace pixeldp
