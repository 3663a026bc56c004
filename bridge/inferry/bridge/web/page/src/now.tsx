// Now: how it goes, and what needs somebody.
export function Now() {
  return <main><h1>Now</h1></main>;
}
