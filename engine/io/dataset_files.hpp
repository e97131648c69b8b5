#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/dataset.hpp"

namespace pixeldp {

enum class FileFormat { idx, rotated_idx, cifar10, cifar100, svhn_mat, image_folder };

/// What is known of a data set before any of its files is read.
struct KnownDataset {
  std::string_view name;
  std::string_view folder;  ///< in $PIXELDP_DATA
  ImageForm form;
  FileFormat format;
  std::vector<std::string> train, test;  ///< files of the splits, or folders; none: no such split
  /// Folders that archives and other programs put the files into.
  std::vector<std::string> nested = {};
};

const std::vector<KnownDataset>& known_datasets();

/// Throws a usage Error for an unknown name.
const KnownDataset& find_known(std::string_view name);

/// Whether the folder has the known data set's nested folders.
bool has_nested_folder(const KnownDataset& known, const std::filesystem::path& directory);

/// The files of a split in their order, each under the official name or, of IDX files, with a dot
/// in place of the second hyphen; plain or with ".gz" appended; all of them in the directory or all
/// in one of the nested folders. Throws an Error that says which are missing, and what is there
/// instead: a part of the data set or another one is not taken for it, but named.
std::vector<std::filesystem::path> find_split_files(const KnownDataset& known,
                                                    std::string_view split,
                                                    const std::filesystem::path& directory);

}  // namespace pixeldp
