add_library(bundled::bundled SHARED IMPORTED)
set_target_properties(bundled::bundled PROPERTIES
    IMPORTED_LOCATION /opt/lib/libbundled.so.1
    INTERFACE_INCLUDE_DIRECTORIES /opt/include)
