// A place where photos are chosen or dropped. The script that stands behind this one has `given(files)`, which takes them.
const most = props.most_bytes;

function say(text, bad) {
  const said = element.querySelector(".said");
  said.textContent = text;
  said.classList.toggle("bad", Boolean(bad));
}

element.addEventListener("change", (event) => {
  if (event.target.type !== "file") return;
  event.stopPropagation();
  given([...event.target.files]);
  event.target.value = "";
});
element.addEventListener("keydown", (event) => {
  if (event.target.matches(".drop") && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    element.querySelector("input").click();
  }
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  element.addEventListener(kind, (event) => {
    event.preventDefault();
    element.querySelector(".drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") given([...event.dataTransfer.files]);
  });
}
