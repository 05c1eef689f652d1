"""The parts of libntfs-3g that the modules here use (version 2022.10.3; little-endian hosts, as the volume is).

Structures name only the fields that are read or set; the C compiler takes their offsets from the library's own headers.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <stddef.h>
    #include <sys/stat.h>
    #include "types.h"
    #include "volume.h"
    #include "device.h"
    #include "inode.h"
    #include "attrib.h"
    #include "mft.h"
    #include "dir.h"
    #include "index.h"
    #include "cache.h"
    #include "security.h"
    #include "ea.h"
    #include "logfile.h"
    #include "logging.h"
    #include "unistr.h"
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "structures are used as they lie on the volume: a little-endian host is needed"
    #endif
    static inline void wimboot_set_v3(ntfs_inode *inode) { set_nino_flag(inode, v3_Extensions); }
    static inline int wimboot_has_list(ntfs_inode *inode) { return NInoAttrList(inode) != 0; }
    static inline int wimboot_has_v3(ntfs_inode *inode) { return test_nino_flag(inode, v3_Extensions) != 0; }
    static inline void wimboot_silence(void) { ntfs_log_set_handler(ntfs_log_handler_null); }
    static inline void wimboot_errno(int code) { errno = code; }
    """

    ctypedef uint16_t ntfschar

    ctypedef struct MFT_RECORD:
        uint16_t sequence_number, link_count, flags
        uint32_t bytes_in_use, bytes_allocated
        uint64_t base_mft_record

    ctypedef struct ATTR_RECORD:
        uint32_t type, length, value_length
        uint8_t non_resident, name_length, compression_unit
        uint16_t name_offset, flags, value_offset, mapping_pairs_offset
        int64_t lowest_vcn, highest_vcn, allocated_size, data_size, initialized_size, compressed_size

    ctypedef struct STANDARD_INFORMATION:
        int64_t creation_time, last_data_change_time, last_mft_change_time, last_access_time
        uint32_t file_attributes, security_id

    ctypedef struct FILE_NAME_ATTR:
        uint64_t parent_directory
        int64_t creation_time, last_data_change_time, last_mft_change_time, last_access_time
        int64_t allocated_size, data_size
        uint32_t file_attributes, reparse_point_tag
        uint8_t file_name_length, file_name_type
        ntfschar *file_name

    ctypedef struct INDEX_ENTRY:
        uint64_t indexed_file
        uint16_t data_offset, length, key_length, ie_flags

    ctypedef struct stat_t "struct stat":
        pass

    cdef struct ntfs_device_operations:
        int (*open)(ntfs_device *, int) noexcept nogil
        int (*close)(ntfs_device *) noexcept nogil
        int64_t (*seek)(ntfs_device *, int64_t, int) noexcept nogil
        int64_t (*read)(ntfs_device *, void *, int64_t) noexcept nogil
        int64_t (*write)(ntfs_device *, const void *, int64_t) noexcept nogil
        int64_t (*pread)(ntfs_device *, void *, int64_t, int64_t) noexcept nogil
        int64_t (*pwrite)(ntfs_device *, const void *, int64_t, int64_t) noexcept nogil
        int (*sync)(ntfs_device *) noexcept nogil
        int (*stat)(ntfs_device *, stat_t *) noexcept nogil
        int (*ioctl)(ntfs_device *, unsigned long, void *) noexcept nogil

    cdef struct ntfs_device:
        void *d_private

    cdef struct ntfs_volume "_ntfs_volume":
        uint8_t major_ver, minor_ver, cluster_size_bits
        uint16_t flags
        uint32_t cluster_size, mft_record_size, indx_record_size, upcase_len
        int64_t nr_clusters, free_clusters
        int64_t mft_zone_end, data1_zone_pos
        ntfschar *upcase
        ntfs_attr *mft_na
        int mftmirr_size
        ntfs_inode *vol_ni
        ntfs_index_context *secure_xsii
        ntfs_index_context *secure_xsdh

    cdef struct ntfs_inode "_ntfs_inode":
        uint64_t mft_no
        MFT_RECORD *mrec
        ntfs_volume *vol
        uint32_t flags, owner_id, security_id
        int64_t data_size, allocated_size, quota_charged, usn
        int64_t creation_time, last_data_change_time, last_mft_change_time, last_access_time

    cdef struct ntfs_attr "_ntfs_attr":
        uint16_t data_flags
        int64_t allocated_size, data_size, initialized_size, compressed_size

    cdef struct ntfs_attr_search_ctx "_ntfs_attr_search_ctx":
        MFT_RECORD *mrec
        ATTR_RECORD *attr
        ntfs_inode *ntfs_ino
        ntfs_inode *base_ntfs_ino

    ctypedef struct ntfs_index_context:
        ntfs_inode *ni
        INDEX_ENTRY *entry
        void *data
        uint16_t data_len
        ntfs_attr_search_ctx *actx

    cdef struct SECURITY_CONTEXT:
        ntfs_volume *vol

    ctypedef struct SECURITY_DESCRIPTOR_RELATIVE:
        pass

    ctypedef struct RESTART_PAGE_HEADER:
        uint16_t major_ver, minor_ver

    enum: FILE_root, FILE_LogFile, FILE_Extend, FILE_first_user
    enum: AT_STANDARD_INFORMATION, AT_FILE_NAME, AT_OBJECT_ID, AT_SECURITY_DESCRIPTOR, AT_VOLUME_NAME, AT_DATA
    enum: AT_INDEX_ROOT, AT_REPARSE_POINT, AT_EA_INFORMATION
    enum: MFT_RECORD_IN_USE, MFT_RECORD_IS_DIRECTORY
    enum: FILE_ATTR_COMPRESSED, FILE_ATTR_ENCRYPTED, FILE_ATTR_SPARSE_FILE, FILE_ATTR_REPARSE_POINT
    enum: FILE_ATTR_VALID_FLAGS, FILE_ATTR_I30_INDEX_PRESENT
    enum: ATTR_IS_COMPRESSED, ATTR_IS_ENCRYPTED, ATTR_IS_SPARSE
    enum: FILE_NAME_POSIX, FILE_NAME_WIN32, FILE_NAME_DOS, FILE_NAME_WIN32_AND_DOS
    enum: CASE_SENSITIVE, IGNORE_CASE
    enum: NTFS_MNT_RDONLY
    enum: VOLUME_IS_DIRTY
    enum: STATUS_KEEP_SEARCHING
    enum: S_IFREG, S_IFDIR
    ntfschar *AT_UNNAMED
    ntfschar *NTFS_INDEX_I30
    ntfschar *NTFS_INDEX_R
    ntfschar *NTFS_INDEX_O

    uint64_t MREF(uint64_t reference) nogil
    uint64_t MK_MREF(uint64_t record, uint16_t sequence) nogil
    void NDevSetOpen(ntfs_device *device) nogil
    void NDevClearOpen(ntfs_device *device) nogil
    int NDevOpen(ntfs_device *device) nogil
    void NDevSetReadOnly(ntfs_device *device) nogil
    void NDevClearDirty(ntfs_device *device) nogil
    void NDevSetDirty(ntfs_device *device) nogil
    void NInoSetDirty(ntfs_inode *inode) nogil
    void NInoFileNameSetDirty(ntfs_inode *inode) nogil
    void NInoFileNameClearDirty(ntfs_inode *inode) nogil
    int NInoAttrList "wimboot_has_list"(ntfs_inode *inode) nogil
    int has_v3_extensions "wimboot_has_v3"(ntfs_inode *inode) nogil
    void set_v3_extensions "wimboot_set_v3"(ntfs_inode *inode) nogil
    void NVolSetCaseSensitive(ntfs_volume *volume) nogil
    void NVolClearCaseSensitive(ntfs_volume *volume) nogil
    void NVolSetCompression(ntfs_volume *volume) nogil

    void silence_log "wimboot_silence"() nogil     # the library prints to standard error otherwise
    void errno_set "wimboot_errno"(int code) nogil

    ntfs_device *ntfs_device_alloc(const char *name, long state, ntfs_device_operations *ops, void *data) nogil
    int ntfs_device_free(ntfs_device *device) nogil
    ntfs_volume *ntfs_device_mount(ntfs_device *device, unsigned long flags) nogil
    void ntfs_create_lru_caches(ntfs_volume *volume) nogil
    int ntfs_umount(ntfs_volume *volume, int force) nogil
    int ntfs_volume_get_free_space(ntfs_volume *volume) nogil
    int ntfs_check_logfile(ntfs_attr *log, RESTART_PAGE_HEADER **page) nogil
    int ntfs_is_logfile_clean(ntfs_attr *log, RESTART_PAGE_HEADER *page) nogil

    ntfs_inode *ntfs_inode_open(ntfs_volume *volume, uint64_t reference) nogil
    int ntfs_inode_close(ntfs_inode *inode) nogil
    int ntfs_inode_real_close(ntfs_inode *inode) nogil
    int ntfs_inode_sync(ntfs_inode *inode) nogil
    void ntfs_inode_mark_dirty(ntfs_inode *inode) nogil
    void ntfs_inode_invalidate(ntfs_volume *volume, uint64_t reference) nogil
    uint64_t ntfs_inode_lookup_by_name(ntfs_inode *folder, const ntfschar *name, int size) nogil

    ntfs_attr *ntfs_attr_open(ntfs_inode *inode, uint32_t type, ntfschar *name, uint32_t size) nogil
    void ntfs_attr_close(ntfs_attr *attribute) nogil
    int64_t ntfs_attr_pread(ntfs_attr *attribute, int64_t offset, int64_t size, void *buffer) nogil
    int64_t ntfs_attr_pwrite(ntfs_attr *attribute, int64_t offset, int64_t size, const void *data) nogil
    int ntfs_attr_pclose(ntfs_attr *attribute) nogil
    int ntfs_attr_truncate(ntfs_attr *attribute, int64_t size) nogil
    int ntfs_attr_truncate_solid(ntfs_attr *attribute, int64_t size) nogil
    int ntfs_attr_add(ntfs_inode *inode, uint32_t type, ntfschar *name, uint8_t size, const uint8_t *value,
                      int64_t value_size) nogil
    int ntfs_attr_set_flags(ntfs_inode *inode, uint32_t type, const ntfschar *name, uint8_t size, uint16_t flags,
                            uint16_t mask) nogil
    int ntfs_attr_rm(ntfs_attr *attribute) nogil
    int ntfs_attr_remove(ntfs_inode *inode, uint32_t type, ntfschar *name, uint32_t size) nogil
    int ntfs_attr_exist(ntfs_inode *inode, uint32_t type, const ntfschar *name, uint32_t size) nogil
    int ntfs_attr_record_resize(MFT_RECORD *record, ATTR_RECORD *attribute, uint32_t size) nogil
    int ntfs_attr_record_move_away(ntfs_attr_search_ctx *context, int extra) nogil
    int ntfs_attr_record_rm(ntfs_attr_search_ctx *context) nogil
    ntfs_attr_search_ctx *ntfs_attr_get_search_ctx(ntfs_inode *inode, MFT_RECORD *record) nogil
    void ntfs_attr_put_search_ctx(ntfs_attr_search_ctx *context) nogil
    void ntfs_attr_reinit_search_ctx(ntfs_attr_search_ctx *context) nogil
    int ntfs_attr_lookup(uint32_t type, const ntfschar *name, uint32_t size, int case_, int64_t vcn,
                         const uint8_t *value, uint32_t value_size, ntfs_attr_search_ctx *context) nogil
    void *ntfs_attr_readall(ntfs_inode *inode, uint32_t type, ntfschar *name, uint32_t size, int64_t *value_size) nogil

    int ntfs_inode_add_attrlist(ntfs_inode *inode) nogil
    ntfs_inode *ntfs_mft_record_alloc(ntfs_volume *volume, ntfs_inode *base) nogil
    int ntfs_mft_record_free(ntfs_volume *volume, ntfs_inode *inode) nogil
    int ntfs_check_empty_dir(ntfs_inode *folder) nogil
    int ntfs_delete(ntfs_volume *volume, const char *path, ntfs_inode *inode, ntfs_inode *folder,
                    const ntfschar *name, uint8_t size) nogil

    ntfs_index_context *ntfs_index_ctx_get(ntfs_inode *inode, ntfschar *name, uint32_t size) nogil
    void ntfs_index_ctx_put(ntfs_index_context *context) nogil
    void ntfs_index_ctx_reinit(ntfs_index_context *context) nogil
    int ntfs_index_lookup(const void *key, int size, ntfs_index_context *context) nogil
    void ntfs_index_entry_mark_dirty(ntfs_index_context *context) nogil
    int ntfs_ie_add(ntfs_index_context *context, INDEX_ENTRY *entry) nogil
    int ntfs_index_rm(ntfs_index_context *context) nogil
    int ntfs_index_add_filename(ntfs_inode *folder, FILE_NAME_ATTR *name, uint64_t reference) nogil
    int ntfs_non_resident_attr_record_add(ntfs_inode *inode, uint32_t type, const ntfschar *name, uint8_t size,
                                          int64_t vcn, int runs_size, uint16_t flags) nogil

    int ntfs_set_ntfs_acl(SECURITY_CONTEXT *context, ntfs_inode *inode, const char *value, size_t size, int flags) nogil
    uint32_t ntfs_security_hash(const SECURITY_DESCRIPTOR_RELATIVE *descriptor, uint32_t size) nogil
    int ntfs_set_ntfs_ea(ntfs_inode *inode, const char *value, size_t size, int flags) nogil
    int ntfs_remove_ntfs_ea(ntfs_inode *inode) nogil
    int ntfs_names_are_equal(const ntfschar *a, size_t a_size, const ntfschar *b, size_t b_size, int case_,
                             const ntfschar *upcase, uint32_t upcase_size) nogil
