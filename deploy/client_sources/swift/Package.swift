// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "BundleClient",
    platforms: [.iOS(.v15), .macOS(.v14)],
    products: [.library(name: "BundleClient", targets: ["BundleClient"])],
    dependencies: [
        .package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", exact: "1.24.2")
    ],
    targets: [
        .target(
            name: "BundleClient",
            dependencies: [.product(name: "onnxruntime", package: "onnxruntime-swift-package-manager")],
            path: ".",
            exclude: ["README.md"],
            sources: ["Classifier.swift"]
        )
    ]
)
